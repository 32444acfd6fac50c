"""Where a run executes: in a background thread, or in a worker process that the thread controls.

:func:`train`, :func:`fork` and :func:`resume` are the entry points. A job executes on a cluster by a
:class:`~optlab.runners.cluster.ClusterRunner` of a connection
(:func:`optlab.runners.cluster.connection.connect`).
"""

from optlab.runners.job_handle import JobHandle, NotRecorded, RecordingHeld, RecordingResumed
from optlab.runners.jobs import TrainJob
from optlab.runners.notices import (
    StepCompleted,
    StepOverdue,
    WorkerOutput,
    WorkerResponds,
    WorkerSilent,
)
from optlab.runners.pool import WorkerPool
from optlab.runners.process import ProcessRunner
from optlab.runners.thread import ThreadRunner
from optlab.runners.train import fork, resume, train

__all__ = [
    "JobHandle",
    "NotRecorded",
    "ProcessRunner",
    "RecordingHeld",
    "RecordingResumed",
    "StepCompleted",
    "StepOverdue",
    "ThreadRunner",
    "TrainJob",
    "WorkerOutput",
    "WorkerPool",
    "WorkerResponds",
    "WorkerSilent",
    "fork",
    "resume",
    "train",
]
