"""All values of curves in a range of steps, as a table of lines ``curve,step,value``.

A plot keeps long series at full resolution only near their ends; what it dropped is read from where
the run is stored.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import OptLabError
from optlab.core.files import replacing
from optlab.gui.plots.pyramid import Samples
from optlab.store import Store
from optlab.tasks.task import Task
from optlab.training.control import Controls

ValueSource = Callable[[str, int], tuple[NDArray[np.int64], NDArray[np.float64]] | None]
"""Name of a series, row of a run → all steps ``[n]`` and values ``[n]`` or ``[n, K]``, or None."""


StoredReader = Callable[[], tuple[NDArray[np.int64], NDArray[np.float64]] | None]
"""Returns all stored steps ``[n]`` and values ``[n]`` of a curve, or None."""


class CurveValues(NamedTuple):
    """Values of one curve.

    Attributes:
        label: name of the curve. steps: ``[n]``. values: ``[n]``, NaN in a gap.
    """

    label: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]


class StoredValues:
    """A :data:`ValueSource` that reads stored runs.

    Args:
        run_ids: stored name of the run of each row.
    """

    def __init__(self, run_ids: Sequence[str]) -> None:
        self._run_ids = tuple(run_ids)

    def __call__(
        self, series: str, row: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """Return all stored steps ``[n]`` and values ``[n]`` or ``[n, K]`` of a series, or None.

        Raises:
            StoreError: the stored run cannot be read.
        """
        if row >= len(self._run_ids):
            return None
        with Store.open_readonly() as store:
            stored = store.series(self._run_ids[row], [series]).get(series)
        return None if stored is None else (stored.steps, stored.values)


@dataclass(frozen=True)
class KeptValues:
    """What a plot keeps of a curve from step ``first`` to ``last``.

    Attributes:
        label: name of the curve. first, last: the range of steps. kept: its values there.
        stored: returns all stored steps ``[n]`` and values ``[n]`` of the curve, or None.
    """

    label: str
    first: float
    last: float
    kept: Samples
    stored: StoredReader


@dataclass(frozen=True)
class ValuesTask(Task):
    """Write all values of curves as lines ``curve,step,value``.

    The result is the text, or where there is a path, the path of the file that has been written.
    The task holds functions, so it is executed in a thread of this process.

    Attributes:
        curves: what the plot keeps of each.
        separator: between the cells of a line.
        path: of the file, or None.
    """

    curves: tuple[KeptValues, ...]
    separator: str = ","
    path: Path | None = None

    def run(self, controls: Controls) -> Iterator[str | Path]:
        """Write the values; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            OptLabError: the plot dropped values that are not stored, or the file cannot be written.
        """
        curves = [all_values(curve) for curve in self.curves]
        if self.path is None:
            text = io.StringIO()
            write_values(text, curves, self.separator)
            yield text.getvalue()
            return
        with (
            replacing(self.path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            write_values(file, curves, self.separator)
        yield self.path


def all_values(curve: KeptValues) -> CurveValues:
    """Return all values of a curve, those that the plot dropped from where the run is stored.

    Raises:
        OptLabError: the plot dropped values that are not stored.
    """
    kept, first, last = curve.kept, curve.first, curve.last
    if kept.exact_from is None:
        return CurveValues(curve.label, kept.steps, kept.values)
    older = curve.stored()
    steps, values = older if older is not None else (np.empty(0, dtype=np.int64), np.empty(0))
    old = steps < kept.exact_from
    if int(old.sum()) < kept.older:
        raise OptLabError(
            f"“{curve.label}” has more values than the plot keeps, and the older ones are not "
            f"stored: zoom in to steps from {kept.exact_from:,} on, or record the run."
        )
    inside = old & (steps >= first) & (steps <= last)
    new = kept.steps >= kept.exact_from
    return CurveValues(
        curve.label,
        np.concatenate([steps[inside], kept.steps[new]]),
        np.concatenate([values[inside], kept.values[new]]),
    )


def write_values(file: TextIO, curves: Iterable[CurveValues], separator: str) -> None:
    """Write a header and a line for each value; the value is empty in a gap."""
    writer = csv.writer(file, delimiter=separator, lineterminator="\n")
    writer.writerow(("curve", "step", "value"))
    for label, steps, values in curves:
        writer.writerows(
            (label, step, "" if math.isnan(value) else repr(value))
            for step, value in zip(steps.tolist(), values.tolist(), strict=True)
        )
