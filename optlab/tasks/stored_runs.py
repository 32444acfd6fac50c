"""Tasks that read the store, so that the window does not wait for the disk or for a migration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from optlab.store import RunRecord, Store, StoredSeries
from optlab.tasks.task import Task
from optlab.training.control import Controls


@dataclass(frozen=True)
class RunList:
    """All stored runs.

    Attributes:
        records: the newest first.
        hidden: what is damaged; see :attr:`optlab.store.Store.notice` and ``hidden``.
    """

    records: tuple[RunRecord, ...]
    hidden: str


@dataclass(frozen=True)
class RunListTask(Task):
    """List the stored runs; the result is a :class:`RunList`.

    The store is opened for writing, so that it is migrated and dead runs are marked.
    """

    def run(self, controls: Controls) -> Iterator[RunList]:
        """List the runs; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            StoreError: the store cannot be opened or read.
        """
        with Store.open() as store:
            records = tuple(store.runs())
            yield RunList(records, " ".join(filter(None, (store.notice, store.hidden))))


@dataclass(frozen=True)
class RunCurves:
    """A stored run with its series.

    Attributes:
        record: of the run.
        series: name → values.
    """

    record: RunRecord
    series: Mapping[str, StoredSeries]


@dataclass(frozen=True)
class RunCurvesTask(Task):
    """Read all series of a run; the result is a :class:`RunCurves`.

    Attributes:
        run_id: its id, or a unique prefix of it.
    """

    run_id: str

    def run(self, controls: Controls) -> Iterator[RunCurves]:
        """Read the series; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: no run or more than one matches.
            StoreError: the store cannot be read, or the run is damaged.
        """
        with Store.open_readonly() as store:
            record = store.run(self.run_id)
            yield RunCurves(record, store.series(record.id))
