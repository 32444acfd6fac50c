"""Where a run executes: a background thread owns its life and has the steps done inline or by a spawned worker process.

:func:`train` and :func:`resume` are the way in.
"""

from optlab.runners.jobs import TrainJob
from optlab.runners.owner import NotRecorded, Owner, RecordingHeld, RecordingWentOn
from optlab.runners.pool import WorkerPool
from optlab.runners.process import ProcessRunner
from optlab.runners.thread import ThreadRunner
from optlab.runners.train import resume, train
from optlab.tasks.preview import DatasetPreview, PreviewQuestion
from optlab.tasks.question import Question

__all__ = [
    "DatasetPreview",
    "NotRecorded",
    "Owner",
    "PreviewQuestion",
    "ProcessRunner",
    "Question",
    "RecordingHeld",
    "RecordingWentOn",
    "ThreadRunner",
    "TrainJob",
    "WorkerPool",
    "resume",
    "train",
]
