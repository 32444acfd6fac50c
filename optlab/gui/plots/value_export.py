"""All values of curves in a range of steps, as a table of lines ``curve,step,value``.

A plot keeps long series at full resolution only near their ends; what it dropped is read from where
the run is stored.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import OptLabError
from optlab.gui.plots.curve import Curve
from optlab.store import Store

ValueSource = Callable[[str, int], tuple[NDArray[np.int64], NDArray[np.float64]] | None]
"""Name of a series, row of a run → all steps ``[n]`` and values ``[n]`` or ``[n, K]``, or None."""


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


def values_between(
    curve: Curve,
    first: float,
    last: float,
    stored: Callable[[], tuple[NDArray[np.int64], NDArray[np.float64]] | None],
) -> CurveValues:
    """Return all values of a curve from step ``first`` to ``last``.

    Args:
        stored: returns all stored steps ``[n]`` and values ``[n]`` of the curve, or None.

    Raises:
        OptLabError: the plot dropped values that are not stored.
    """
    kept = curve.samples.samples(first, last)
    if kept.exact_from is None:
        return CurveValues(curve.label, kept.steps, kept.values)
    older = stored()
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
