"""Tasks that use the store, so that the window does not wait for the disk or for a migration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from optlab.core.data import LearningTask
from optlab.store import RunRecord, Store, StoredSeries
from optlab.store.export import export
from optlab.tasks.diagnosis import RunDiagnosis, diagnosis_of
from optlab.tasks.run_scales import RunScale, scale_of
from optlab.tasks.task import Task
from optlab.training.control import Controls, Message
from optlab.training.events import WeightPath


@dataclass(frozen=True)
class RunList:
    """All stored runs.

    Attributes:
        records: the newest first.
        hidden: what is damaged; see :attr:`optlab.store.Store.notice` and ``hidden``.
        notice: what was done about a damaged store when it was opened, or "".
    """

    records: tuple[RunRecord, ...]
    hidden: str
    notice: str = ""


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
            hidden = " ".join(filter(None, (store.notice, store.hidden)))
            yield RunList(records, hidden, store.notice)


@dataclass(frozen=True)
class RunCurves:
    """A stored run with its series.

    Attributes:
        record: of the run.
        series: name → values.
        diagnosis: what limits it.
        log: what was sent to it, in order, each message with the steps completed before it.
        kept: steps of its snapshots, ascending.
        scale: converts its steps into epochs, examples, evaluations and seconds.
        path: of its weights; None where none is stored.
    """

    record: RunRecord
    series: Mapping[str, StoredSeries]
    diagnosis: RunDiagnosis
    log: tuple[tuple[int, Message], ...]
    kept: tuple[int, ...] = ()
    scale: RunScale = field(default_factory=RunScale)
    path: WeightPath | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was sent to it, in order."""
        return tuple(message for _, message in self.log)

    @property
    def task(self) -> LearningTask:
        """The learning task, as far as the series tell: a regression has none of an error."""
        errors = any(name.endswith("_error") for name in self.series)
        return "classes" if errors or not self.series else "regression"


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
            series = store.series(record.id)
            controls_sent = store.controls(record.id)
            diagnosis = diagnosis_of(record, series, controls_sent)
            snapshots = store.snapshots(record.id)
            kept = tuple(sorted({one.step for one in snapshots if one.intact}))
            scale = scale_of(record, series, snapshots, controls_sent)
            path = store.weight_path(record)
            yield RunCurves(record, series, diagnosis, tuple(controls_sent), kept, scale, path)


@dataclass(frozen=True)
class ExportRunTask(Task):
    """Write the series of a run to a file; the result is its path.

    Attributes:
        run_id: its id.
        format: ``csv`` or ``parquet``.
        path: of the file, which is replaced.
    """

    run_id: str
    format: str
    path: Path

    def run(self, controls: Controls) -> Iterator[Path]:
        """Write the file; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: there is no such run, or the path is not usable.
            MissingPart: the format needs a library that is not installed.
            StoreError: the run cannot be read, or the file cannot be written.
        """
        with Store.open_readonly() as store:
            export(store, self.run_id, self.format, self.path, force=True)
        yield self.path
