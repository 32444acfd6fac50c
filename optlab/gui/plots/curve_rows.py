"""Rows of a curve: samples, or buckets of them with their extremes, and how they are drawn."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optlab.gui.plots.ring import GROUP, floor_int

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_WIDTHS = (1.0, 1.25, 1.5, 1.75)


class Rows(NamedTuple):
    """Buckets in order, one row ``[n]`` each; NaN where a bucket has no such value.

    Attributes:
        first: step of the first sample. lowest_at, highest_at: steps of the minimum and maximum.
        lowest, highest: minimum and maximum. positive: smallest positive value.
    """

    first: Ints
    lowest_at: Ints
    highest_at: Ints
    lowest: Floats
    highest: Floats
    positive: Floats


def buckets(samples: tuple[NDArray[Any], ...]) -> Rows:
    """Return samples, steps ``[n]`` and values ``[n]``, as rows of one sample each."""
    steps, values = samples
    return Rows(steps, steps, steps, values, values, np.where(values > 0.0, values, np.nan))


def concatenate(parts: list[Rows]) -> Rows:
    """Return the rows of all parts, in order."""
    return (
        parts[0]
        if len(parts) == 1
        else Rows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    )


def merged_by_group(rows: Rows) -> Rows:
    """Return rows merged in groups of four."""
    index = np.arange(len(rows.first) // GROUP) * GROUP
    low, high = rows.lowest.reshape(-1, GROUP), rows.highest.reshape(-1, GROUP)
    # NaN never wins; a group of NaN alone yields its first entry, which is NaN.
    lowest = index + np.where(np.isnan(low), np.inf, low).argmin(axis=1)
    highest = index + np.where(np.isnan(high), -np.inf, high).argmax(axis=1)
    return Rows(
        rows.first[::GROUP],
        rows.lowest_at[lowest],
        rows.highest_at[highest],
        rows.lowest[lowest],
        rows.highest[highest],
        np.fmin.reduce(rows.positive.reshape(-1, GROUP), axis=1),
    )


def binned(rows: Rows, first: float, last: float, pixels: int, log_x: bool) -> Rows:
    """Return rows merged to about one a pixel.

    Bins have fixed positions whatever the view, so the drawing does not shimmer while it grows.
    """
    if log_x:
        position = np.log10(np.maximum(rows.first, 1))
        span = math.log10(last) - math.log10(first)
    else:
        position = rows.first.astype(np.float64)
        span = last - first
    # Steps are integers, so narrower bins gain nothing, and much narrower ones would overflow.
    bins = np.floor(position / _width(max(span / pixels, 1e-15 if log_x else 0.5)))
    new = np.empty(len(bins), dtype=bool)
    new[0] = True
    np.not_equal(bins[1:], bins[:-1], out=new[1:])
    # No bin extends over an end of the view: a neighbor's value must not hide one inside.
    for edge in (
        rows.first.searchsorted(-floor_int(-first), side="left"),
        rows.first.searchsorted(floor_int(last), side="right"),
    ):
        if edge < len(new):
            new[edge] = True
    starts = np.flatnonzero(new)
    lowest, lowest_at = _segment_minima(rows.lowest, rows.lowest_at, starts)
    highest, highest_at = _segment_minima(-rows.highest, rows.highest_at, starts)
    return Rows(
        rows.first[starts],
        lowest_at,
        highest_at,
        lowest,
        -highest,
        np.fmin.reduceat(rows.positive, starts),
    )


def _width(minimum: float) -> float:
    """Return the next width of 1, 1.25, 1.5 or 1.75 times a power of two."""
    if not minimum > 0.0:
        return 1.0
    power = 2.0 ** math.floor(math.log2(minimum))
    return next((width * power for width in _WIDTHS if width * power >= minimum), 2.0 * power)


def _segment_minima(values: Floats, at: Ints, starts: Ints) -> tuple[Floats, Ints]:
    """Return the minimum of each segment of rows that begins at ``starts``, and its step."""
    minima = np.fmin.reduceat(values, starts)
    sizes = np.diff(starts, append=len(values))
    equal = np.flatnonzero(values == np.repeat(minima, sizes))
    index = starts.copy()
    some = ~np.isnan(minima)
    index[some] = equal[np.searchsorted(equal, starts[some])]
    return minima, at[index]


def points(rows: Rows, positive: bool) -> tuple[Floats, Floats]:
    """Return minimum and maximum of each row, x ``[k]`` and y ``[k]``, in order of their steps.

    A row has one point where both are equal or where it is a gap.
    """
    low, high = rows.lowest, rows.highest
    if positive:
        low, high = rows.positive, np.where(high > 0.0, high, np.nan)
    swapped = rows.highest_at < rows.lowest_at
    x = np.empty((len(low), 2))
    y = np.empty((len(low), 2))
    x[:, 0], x[:, 1] = (
        np.minimum(rows.lowest_at, rows.highest_at),
        np.maximum(rows.lowest_at, rows.highest_at),
    )
    y[:, 0], y[:, 1] = np.where(swapped, high, low), np.where(swapped, low, high)
    keep = np.ones((len(low), 2), dtype=bool)
    keep[:, 1] = low < high
    return x[keep], y[keep]


def extremes(
    known: tuple[float, float, float], lowest: Floats, highest: Floats, positive: Floats
) -> tuple[float, float, float]:
    """Return minimum, smallest positive value and maximum of known and new values ``[n]``.

    NaN stands for none.
    """
    if not len(lowest):
        return known
    new = (np.fmin.reduce(lowest), np.fmin.reduce(positive), np.fmax.reduce(highest))
    return (
        float(np.fmin(known[0], new[0])),
        float(np.fmin(known[1], new[1])),
        float(np.fmax(known[2], new[2])),
    )
