"""Stored runs side by side: what differs, what they came to, and what the difference is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.core.errors import InvalidInput
from optlab.core.toml import parse
from optlab.experiment.settings import flat
from optlab.store import RunRecord, Store, StoredSeries
from optlab.studies.comparison import words
from optlab.studies.comparison.checks import measure_problems
from optlab.studies.comparison.fields import Decision, Measured
from optlab.studies.comparison.results import StudyResult
from optlab.studies.comparison.stored_runs import compare_stored
from optlab.tasks.study_news import drawn_series
from optlab.tasks.task import Task
from optlab.training.control import Controls


@dataclass(frozen=True)
class Asked:
    """How runs are compared.

    Attributes:
        measured: fields of :class:`~optlab.studies.comparison.fields.Measured`. effect, margin,
            level: see :class:`~optlab.studies.comparison.fields.Decision`; a margin of None is any
            effect.
    """

    measured: Mapping[str, Any]
    effect: str = "difference"
    margin: float | None = None
    level: float = 0.95

    @property
    def smallest(self) -> float:
        """The smallest effect that matters."""
        any_effect = 1.0 if self.effect == "ratio" else 0.0
        return any_effect if self.margin is None else self.margin


def compare_runs(store: Store, records: Sequence[RunRecord], asked: Asked) -> StudyResult:
    """Return how stored runs compare, every two arms with each other.

    Raises:
        InvalidInput: a run is named twice or has not ended, there are no two arms, or a field is
            not allowed.
        StoreError: stored data are damaged.
    """
    measured, decision = _fields(asked)
    if len({record.id for record in records}) < len(records):
        raise InvalidInput("A run is named twice; give each once.")
    return compare_stored(store, records, measured, decision)


def _fields(asked: Asked) -> tuple[Measured, Decision]:
    measured = Measured.build(asked.measured, "measure")
    for problem in measure_problems(measured):
        raise problem
    decision = Decision.build(
        {"effect": asked.effect, "margin": asked.smallest, "level": asked.level}, "decide"
    )
    return measured, decision


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Stored runs side by side.

    Attributes:
        records: of the runs, in the order asked for. differs: fields in which their experiments
            differ, each with a value for each run. finals: figures of their ends, likewise.
        series: name of the series that is drawn. curves: run id → its values. result: as ``compare
            --json`` has it; None with ``problem``, which says why nothing is decided.
    """

    records: tuple[RunRecord, ...]
    differs: tuple[tuple[str, ...], ...]
    finals: tuple[tuple[str, ...], ...]
    series: str
    curves: Mapping[str, StoredSeries]
    result: Mapping[str, Any] | None
    problem: str = ""


@dataclass(frozen=True)
class CompareRunsTask(Task):
    """Put stored runs side by side; the result is a :class:`RunComparison`.

    Attributes:
        run_ids: names of the runs, or the beginnings of them. asked: how they are compared.
    """

    run_ids: tuple[str, ...]
    asked: Asked

    def run(self, controls: Controls) -> Iterator[RunComparison]:
        """Read and compare them; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: there is no such run, or what is measured is not allowed.
            StoreError: the store cannot be read.
        """
        measured, _ = _fields(self.asked)
        with Store.open_readonly() as store:
            records = tuple(store.run(name) for name in self.run_ids)
            series = drawn_series(measured)
            found = store.series_of([one.id for one in records], [series])
            curves = {run: its[series] for run, its in found.items() if series in its}
            document, problem = None, ""
            try:
                result = compare_runs(store, records, self.asked)
                document = {**result.document(), "margin": self.asked.smallest}
            except InvalidInput as error:
                problem = str(error)
        tables = {one.id: dict(flat(parse(one.experiment))) for one in records}
        yield RunComparison(
            records,
            tuple(words.differences(tables)),
            tuple(_finals(records)),
            series,
            curves,
            document,
            problem,
        )


def _finals(records: Sequence[RunRecord]) -> Iterator[tuple[str, ...]]:
    """Yield name and value of each figure of the ends of runs, and how they ended."""
    yield ("status", *(one.status for one in records))
    yield ("steps", *(f"{one.steps:,}" for one in records))
    yield ("seconds", *(f"{one.seconds:,.2f}" for one in records))
    for name in dict.fromkeys(name for one in records for name in one.final):
        yield (name, *(words.number(one.final.get(name)) for one in records))
