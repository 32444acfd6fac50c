"""Single numbers that are read from one or two stored series."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Values(Protocol):
    """A stored series."""

    @property
    def steps(self) -> NDArray[np.int64]:
        """Number of completed steps ``[n]``, ascending."""

    @property
    def values(self) -> NDArray[np.float64]:
        """Values ``[n]``, or ``[n, K]`` for K numbers per step."""


@dataclass(frozen=True, eq=False)
class SeriesValues:
    """A series that was computed from others: ``steps``, ``values`` ``[n]``."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]


def one_number(series: Values, part: str) -> Values:
    """Return a series with one number a step.

    Args:
        part: which one of several it is: ``first``, ``last``, ``largest``, ``smallest``, ``mean``,
            or ``last/first``; "" for a series that has one already.
    """
    values = series.values
    if values.ndim == 1 or not part:
        return series
    if part in ("first", "last"):
        values = values[:, 0 if part == "first" else -1]
    elif part == "last/first":
        with np.errstate(divide="ignore", invalid="ignore"):
            values = values[:, -1] / values[:, 0]
    else:
        values = _over_columns(values, part)
    return SeriesValues(series.steps, values)


def _over_columns(values: NDArray[np.float64], part: str) -> NDArray[np.float64]:
    if part == "largest":
        found: NDArray[np.float64] = values.max(axis=1)
    elif part == "smallest":
        found = values.min(axis=1)
    else:
        found = values.mean(axis=1)
    return found


def when(series: Values, other: Values, target: float, *, below: bool) -> float:
    """Return the value of a series at the first step at which another reaches a target.

    NaN where it does not, or where the series has no value by then.
    """
    with np.errstate(invalid="ignore"):
        reached = other.values <= target if below else other.values >= target
    where = np.flatnonzero(reached)
    if not len(where):
        return math.nan
    before = int(np.searchsorted(series.steps, other.steps[where[0]], side="right"))
    return float(series.values[before - 1]) if before else math.nan


def agreement(series: Values, other: Values) -> float:
    """Return the share of readings at which two series moved in the same direction.

    Readings at which one of them did not change say nothing and are left out; NaN where none is
    left. A series that falls while the other one rises has moved in another direction.
    """
    _, mine, its = np.intersect1d(series.steps, other.steps, return_indices=True)
    one, two = np.diff(series.values[mine]), np.diff(other.values[its])
    moved = np.isfinite(one) & np.isfinite(two) & (one != 0.0) & (two != 0.0)
    if not moved.any():
        return math.nan
    return float(np.mean(np.sign(one[moved]) == np.sign(two[moved])))


def order(series: Values) -> float:
    """Return the slope of the logarithm of a series against that of the step, by least squares.

    Values and steps that are not positive are left out; NaN where fewer than three are left.
    """
    use = (series.values > 0.0) & (series.steps > 0)
    if use.sum() < 3:
        return math.nan
    x, y = np.log(series.steps[use]), np.log(series.values[use])
    x = x - x.mean()
    return float(x @ y / (x @ x))
