"""The recorder: measured values wait here as tensors until a block is due.

Values stay on the device and are copied to the host once a block, so that measuring does not make
every step wait for a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from optlab.catalogue.measures.base import Step, StepMeasure
from optlab.core.lazy import torch
from optlab.training.events import SECONDS, Series

MAX_ROWS = 4096
"""Steps after which a block is sent in any case: bounds the number of waiting values."""

_APART = frozenset({"weights", "gradient_evaluations"})


class Recorder:
    """Computes step measures and collects their values.

    Args:
        measures: what to compute at each step. Those of one number a run are stacked into one row,
            the others kept apart.
        vectors: names of the measures that are kept apart: those with values ``[R, K]``, and counts,
            which the precision of a run may not hold.

    Attributes:
        of_steps: names of the series that are measured at every step.
    """

    def __init__(self, measures: Sequence[StepMeasure], vectors: frozenset[str] = _APART) -> None:
        self._scalars = [measure for measure in measures if measure.name not in vectors]
        self._vectors = [measure for measure in measures if measure.name in vectors]
        self.of_steps = frozenset(measure.name for measure in measures) | {SECONDS}
        self._rows: list[torch.Tensor] = []
        self._seconds: list[float] = []
        self._vector_rows: dict[str, list[torch.Tensor]] = {
            measure.name: [] for measure in self._vectors
        }
        self._first = 0
        self._sparse: dict[tuple[str, tuple[str, ...]], tuple[list[int], list[torch.Tensor]]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def measured(self, step: Step) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the measures of a step: scalars ``[M, R]``, and those that are kept apart."""
        return (
            torch.stack([measure.compute(step) for measure in self._scalars]),
            [measure.compute(step) for measure in self._vectors],
        )

    def keep(self, number: int, row: torch.Tensor, vectors: Sequence[torch.Tensor]) -> None:
        """Keep what :meth:`measured` has found of step ``number`` (1, 2, …; without gaps).

        Args:
            row: ``[M, R]``. vectors: ``[R, K]`` each.
        """
        if not self._rows:
            self._first = number
        self._rows.append(row)
        for measure, values in zip(self._vectors, vectors, strict=True):
            self._vector_rows[measure.name].append(values)

    def latest(self, count: int) -> list[torch.Tensor]:
        """Return what was kept last: rows ``[count, M, R]``, and each vector ``[count, R, K]``."""
        kept = [self._rows, *(self._vector_rows[one.name] for one in self._vectors)]
        return [torch.stack(rows[-count:]) for rows in kept]

    def record(self, number: int, step: Step) -> torch.Tensor:
        """Measure step ``number`` and keep it; return its scalars ``[M, R]``."""
        row, vectors = self.measured(step)
        self.keep(number, row, vectors)
        return row

    def note_seconds(self, seconds: float) -> None:
        """Note the training time until the step that was recorded last.

        Without a time for every row of a block, the block has none.
        """
        self._seconds.append(seconds)

    def drop_after(self, number: int) -> None:
        """Drop the rows of steps after ``number``."""
        keep = max(0, number - self._first + 1)
        del self._rows[keep:], self._seconds[keep:]
        for rows in self._vector_rows.values():
            del rows[keep:]

    def index(self, name: str) -> int:
        """Return the index of a measure in the rows of :meth:`record`.

        Raises:
            ValueError: the measure is not recorded.
        """
        return [measure.name for measure in self._scalars].index(name)

    def add(
        self, name: str, number: int, values: torch.Tensor, columns: tuple[str, ...] = ()
    ) -> None:
        """Record values of a series that is not measured at every step.

        Where a step has values already, the new ones replace NaN only.

        Args:
            values: ``[R]``, or ``[R, K]`` with names of the K in ``columns``.
        """
        steps, kept = self._sparse.setdefault((name, columns), ([], []))
        if steps and steps[-1] == number:
            kept[-1] = torch.where(torch.isnan(kept[-1]), values, kept[-1])
            return
        steps.append(number)
        kept.append(values)

    def flush(self) -> Mapping[str, Series]:
        """Return all waiting values as series, and clear them."""
        series: dict[str, Series] = {}
        if self._rows:
            steps = np.arange(self._first, self._first + len(self._rows), dtype=np.int64)
            table = torch.stack(self._rows).cpu().double().numpy()
            for column, measure in enumerate(self._scalars):
                series[measure.name] = Series(steps, np.ascontiguousarray(table[:, column]))
            for measure in self._vectors:
                values = torch.stack(self._vector_rows[measure.name]).cpu().double().numpy()
                if values.shape[-1]:
                    series[measure.name] = Series(steps, values)
                self._vector_rows[measure.name] = []
            if len(self._seconds) == len(steps):
                # All runs of a population take their steps together.
                passed = np.array(self._seconds)[:, None]
                series[SECONDS] = Series(steps, np.repeat(passed, table.shape[2], axis=1))
            self._rows, self._seconds = [], []
        for (name, columns), (numbers, kept) in self._sparse.items():
            series[name] = Series(
                np.array(numbers, dtype=np.int64),
                torch.stack(kept).cpu().double().numpy(),
                columns,
            )
        self._sparse = {}
        return series
