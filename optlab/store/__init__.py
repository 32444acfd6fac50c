"""Stored runs and studies: metadata and series on SQLite, snapshots as safetensors files.

The store speaks :mod:`optlab.training.events` and knows no trainer. :class:`Store` is the way in.
"""

from optlab.store.records import RunRecord, SnapshotRecord, StudyRecord, StudyRun
from optlab.store.series import StoredSeries
from optlab.store.store import Store
from optlab.store.study_writer import StudyWriter
from optlab.store.writer import RunWriter

__all__ = [
    "RunRecord",
    "RunWriter",
    "SnapshotRecord",
    "Store",
    "StoredSeries",
    "StudyRecord",
    "StudyRun",
    "StudyWriter",
]
