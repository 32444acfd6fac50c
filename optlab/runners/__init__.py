"""Where a run executes: a background thread owns its life and has the steps done inline or by a
spawned worker process.

:func:`train` and :func:`resume` are the way in.
"""

from optlab.runners.job_handle import JobHandle, NotRecorded, RecordingHeld, RecordingWentOn
from optlab.runners.jobs import TrainJob
from optlab.runners.pool import WorkerPool
from optlab.runners.process import ProcessRunner
from optlab.runners.thread import ThreadRunner
from optlab.runners.train import resume, train

__all__ = [
    "NotRecorded",
    "JobHandle",
    "ProcessRunner",
    "RecordingHeld",
    "RecordingWentOn",
    "ThreadRunner",
    "TrainJob",
    "WorkerPool",
    "resume",
    "train",
]
