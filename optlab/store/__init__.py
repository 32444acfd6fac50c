"""Stored runs and studies: metadata and series on SQLite, snapshots as safetensors files.

The store speaks :mod:`optlab.training.events` and knows no trainer. :class:`Store` is the way in.
"""

from typing import TYPE_CHECKING, Any

from optlab.store.records import RunRecord, SnapshotRecord, StudyRecord, StudyRun
from optlab.store.store import Store

if TYPE_CHECKING:
    from optlab.store.series import StoredSeries
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


def __getattr__(name: str) -> Any:
    """Import what a list of runs does not need, at its first use."""
    if name == "StoredSeries":
        from optlab.store.series import StoredSeries

        return StoredSeries
    if name == "RunWriter":
        from optlab.store.writer import RunWriter

        return RunWriter
    if name == "StudyWriter":
        from optlab.store.study_writer import StudyWriter

        return StudyWriter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
