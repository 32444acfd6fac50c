"""A pyramid: a growing series in bounded memory, of which any stretch is drawn with about two
points a pixel and not a spike lost.

Level 0 holds samples, level ``l`` buckets of ``4**l`` samples with their least and largest value.
Each level keeps its newest rows (and its first few), so what lies far back stays visible, only
coarser. A stretch is put together like a number from digits: whole buckets of one level in the
middle, finer ones at both ends, so its extremes are exact wherever samples are still kept.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optlab.gui.plots.ring import GROUP, Ring, whole_below

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

SAMPLES = 2**17
"""Newest samples kept (2 MB a series)."""
BUCKETS = 2**14
"""Newest buckets kept at each level (0.8 MB): four to a pixel on the widest screens."""
HEAD = 2**11
"""First rows kept at each level."""
BATCH = GROUP**5
"""Samples are put into buckets so many at a time: a small block costs two copies and nothing else.
"""
_WIDTHS = (1.0, 1.25, 1.5, 1.75)


class Rows(NamedTuple):
    """Buckets in order: step of the first sample; steps and values of the least and the largest;
    the least positive value. NaN where there is none.
    """

    first: Whole
    lowest_at: Whole
    highest_at: Whole
    lowest: Floats
    highest: Floats
    positive: Floats


class Reading(NamedTuple):
    """What is known at a step: values from ``lowest`` to ``highest`` over ``first`` to ``last``;
    the same where the sample itself is kept.
    """

    first: int
    last: int
    lowest: float
    highest: float


class Pyramid:
    """A series of ``(step, value)`` with steps strictly increasing; what is not finite is a gap.

    Args:
        samples, buckets, head, batch: sizes; see the constants of this module. All multiples of 4,
            ``batch`` a power of 4.
    """

    def __init__(
        self, samples: int = SAMPLES, buckets: int = BUCKETS, head: int = HEAD, batch: int = BATCH
    ) -> None:
        self._samples = Ring((np.int64, np.float64), samples, head)
        self._levels: list[Ring] = []
        self._sizes = (buckets, head)
        self._batch = batch
        # Whole batches, and so few that nothing is forgotten before it is in a bucket of the next
        # level.
        self._piece = max(batch, min(samples // 4, buckets) // batch * batch)
        self.first: int | None = None
        """Step of the first sample, None before there is one; ``last``: of the last."""
        self.last: int | None = None
        self._all = (math.nan, math.nan, math.nan)

    def __len__(self) -> int:
        return self._samples.count

    @property
    def bytes(self) -> int:
        """Memory that is held."""
        return self._samples.bytes + sum(level.bytes for level in self._levels)

    # --- growing ----------------------------------------------------------------------------------------------------------------

    def append(self, steps: ArrayLike, values: ArrayLike) -> None:
        """Add samples ``[n]``.

        Raises:
            ValueError: the steps do not increase, or there are not as many values as steps.
        """
        at = np.asarray(steps, dtype=np.int64).reshape(-1)
        found = np.asarray(values, dtype=np.float64).reshape(-1)
        if at.shape != found.shape:
            raise ValueError(f"{len(at)} steps with {len(found)} values")
        if not len(at):
            return
        if (self.last is not None and at[0] <= self.last) or (
            len(at) > 1 and not (at[1:] > at[:-1]).all()
        ):
            raise ValueError("the steps of a series must increase")
        if not np.isfinite(found).all():
            found = np.where(np.isfinite(found), found, np.nan)
        for begin in range(0, len(at), self._piece):
            piece = slice(begin, begin + self._piece)
            self._samples.append((at[piece], found[piece]))
            self._gather()
        if self.first is None:
            self.first = int(at[0])
        self.last = int(at[-1])
        self._all = _extremes(self._all, found, found, np.where(found > 0.0, found, np.nan))

    def _gather(self) -> None:
        """Make buckets of what waits at each level."""
        done = self._levels[0].count * GROUP if self._levels else 0
        waiting = (self._samples.count - done) // self._batch * self._batch
        if not waiting:
            return
        new = _fours(_buckets(self._samples.rows(done, done + waiting)))
        place = 0
        while True:
            if place == len(self._levels):
                self._levels.append(Ring((np.int64,) * 3 + (np.float64,) * 3, *self._sizes))
            level = self._levels[place]
            level.append(tuple(new))
            done = self._levels[place + 1].count * GROUP if place + 1 < len(self._levels) else 0
            waiting = (level.count - done) // GROUP * GROUP
            if not waiting:
                return
            new = _fours(Rows(*level.rows(done, done + waiting)))
            place += 1

    # --- looking ----------------------------------------------------------------------------------------------------------------

    def view(
        self, first: float, last: float, pixels: int, *, log_x: bool = False, positive: bool = False
    ) -> tuple[Floats, Floats]:
        """Points ``(x, y)`` that draw steps ``first`` to ``last`` on so many pixels: at most two
        each, in order, with a neighbor on either side.

        Args:
            log_x: pixels are even in the logarithm of the step; steps below 1 are left out.
            positive: leave out values that are not positive. Gaps are NaN in ``y``.
        """
        pixels = max(1, int(pixels))
        if self.first is None or self.last is None or not last >= first:
            return np.empty(0), np.empty(0)
        if log_x:
            first, last = max(first, 1.0), max(last, 1.0)
        begin, end = self._stretch(first, last)
        # The neighbors stand apart: in one bucket with what is inside, their values would hide it.
        inner, outer = self._inside(first, last)
        inner, outer = min(max(begin, inner), end), max(min(outer, end), begin)
        parts = (
            [self._cover(begin, inner, self._level(begin, inner, GROUP))] if begin < inner else []
        )
        if inner < outer and log_x:
            parts.append(self._log_cover(inner, outer, first, last, pixels))
        elif inner < outer:
            parts.append(self._cover(inner, outer, self._level(inner, outer, 4 * pixels)))
        if max(inner, outer) < end:
            begin = max(inner, outer)
            parts.append(self._cover(begin, end, self._level(begin, end, GROUP)))
        rows = _joined(parts)
        if len(rows.first) > pixels:
            rows = _binned(rows, first, last, pixels, log_x)
        x, y = _points(rows, positive)
        if log_x and len(x) and x[0] < 1.0:
            x, y = x[x >= 1.0], y[x >= 1.0]
        return x, y

    def bounds(
        self, first: float = -math.inf, last: float = math.inf, *, positive: bool = False
    ) -> tuple[float, float] | None:
        """Least and largest finite (``positive``: positive) value from ``first`` to ``last``; None
        where there is none.
        """
        if self.first is None or self.last is None or last < self.first or first > self.last:
            return None
        if first <= self.first and last >= self.last:
            lowest, least, highest = self._all
        else:
            begin, end = self._inside(first, last)
            if begin >= end:
                return None
            rows = self._cover(begin, end, self._level(begin, end, 64))
            lowest, least, highest = _extremes(
                (math.nan, math.nan, math.nan), rows.lowest, rows.highest, rows.positive
            )
        low = least if positive else lowest
        return None if math.isnan(low) else (low, highest)

    def reading(self, step: float) -> Reading | None:
        """The sample nearest to ``step``, or the bucket around it where the sample is no longer
        kept; None where there is nothing.
        """
        if self.first is None or self.last is None:
            return None
        found = self._samples.find(step)
        if found is not None:
            place, end = found
            at, values = self._samples.rows(place, min(place + 2, end))
            nearest = int(np.argmin(np.abs(at - step)))
            return Reading(
                int(at[nearest]), int(at[nearest]), float(values[nearest]), float(values[nearest])
            )
        for level in self._levels:
            found = level.find(step)
            if found is not None:
                rows = Rows(*level.rows(found[0], min(found[0] + 2, found[1])))
                last = (
                    int(rows.first[1]) - 1
                    if len(rows.first) > 1
                    else int(max(rows.lowest_at[0], rows.highest_at[0]))
                )
                return Reading(
                    int(rows.first[0]), last, float(rows.lowest[0]), float(rows.highest[0])
                )
        return None

    def _find(self, step: float) -> tuple[int, int, int]:
        """The finest row kept at ``step``, one past the last row that follows it without a gap, and
        the samples of a row.
        """
        size = 1
        for ring in (self._samples, *self._levels):
            found = ring.find(step)
            if found is not None:
                return *found, size
            size *= GROUP
        raise AssertionError("the coarsest level keeps everything")

    def _stretch(self, first: float, last: float) -> tuple[int, int]:
        """Numbers of the samples from ``first`` to ``last`` with a neighbor on either side, widened
        to rows that are kept.
        """
        place, _, size = self._find(first)
        begin = place * size
        place, end, size = self._find(last)
        return begin, min(place + 2, end) * size

    def _inside(self, first: float, last: float) -> tuple[int, int]:
        """The same without the neighbors."""
        place, _, size = self._find(first)
        if size == 1 and self._samples.rows(place, place + 1)[0][0] < first:
            place += 1
        begin = place * size
        place, _, size = self._find(last)
        return begin, (place + 1) * size

    def _level(self, begin: int, end: int, most: int) -> int:
        """The finest level that keeps all between two samples in at most ``most`` rows."""
        level, size = 0, 1
        while level < len(self._levels):
            ring = self._levels[level - 1] if level else self._samples
            if end - begin <= most * size and ring.holds(
                -(-begin // size), min(end // size, ring.count)
            ):
                break
            level, size = level + 1, size * GROUP
        return level

    def _cover(self, begin: int, end: int, level: int) -> Rows:
        """Rows from sample ``begin`` up to ``end``: of ``level`` in the middle, finer towards both
        ends and for samples not yet in buckets.
        """
        while level > 0:
            size = GROUP**level
            ring = self._levels[level - 1]
            first, last = -(-begin // size), min(end // size, ring.count)
            # Level 0 reaches further back than level 1, which may then lack what is asked for.
            if first < last and ring.holds(first, last):
                left = [self._cover(begin, first * size, level - 1)] if begin < first * size else []
                right = [self._cover(last * size, end, level - 1)] if last * size < end else []
                return _joined([*left, Rows(*ring.rows(first, last)), *right])
            level -= 1
        return _buckets(self._samples.rows(begin, end))

    def _log_cover(self, begin: int, end: int, first: float, last: float, pixels: int) -> Rows:
        """Rows of a logarithmic axis: each stretch from ``s`` to ``4 s`` at the level that suits
        its share of the pixels.
        """
        if last <= first:
            return self._cover(begin, end, self._level(begin, end, 4 * pixels))
        share = (
            max(1, round(pixels * math.log(4.0) / math.log(last / first)))
            if last / first > 4.0
            else pixels
        )
        edges, edge = [begin], first * 4.0
        while edge < last:
            place, _, size = self._find(edge)
            edges.append(min(max(place * size, edges[-1]), end))
            edge *= 4.0
        edges.append(end)
        parts = [
            self._cover(a, b, self._level(a, b, 4 * share))
            for a, b in zip(edges, edges[1:], strict=False)
            if a < b
        ]
        return _joined(parts)


def _buckets(samples: tuple[NDArray[Any], ...]) -> Rows:
    steps, values = samples
    return Rows(steps, steps, steps, values, values, np.where(values > 0.0, values, np.nan))


def _joined(parts: list[Rows]) -> Rows:
    return (
        parts[0]
        if len(parts) == 1
        else Rows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    )


def _fours(rows: Rows) -> Rows:
    """Each four rows made one."""
    index = np.arange(len(rows.first) // GROUP) * GROUP
    low, high = rows.lowest.reshape(-1, GROUP), rows.highest.reshape(-1, GROUP)
    # NaN must never win; where all are NaN the first is taken, which is NaN.
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


def _binned(rows: Rows, first: float, last: float, pixels: int, log_x: bool) -> Rows:
    """At most about one row a pixel.

    The bins lie at fixed places whatever the view, so the drawing does not shimmer while it grows.
    """
    if log_x:
        place = np.log10(np.maximum(rows.first, 1))
        span = math.log10(last) - math.log10(first)
    else:
        place = rows.first.astype(np.float64)
        span = last - first
    # Nothing lies closer together than whole steps do, and a width beyond that would overflow.
    bins = np.floor(place / _width(max(span / pixels, 1e-15 if log_x else 0.5)))
    new = np.empty(len(bins), dtype=bool)
    new[0] = True
    np.not_equal(bins[1:], bins[:-1], out=new[1:])
    # A bin never reaches over an end of the view: a neighbor's value must not hide one that is
    # inside.
    for edge in (
        rows.first.searchsorted(-whole_below(-first), side="left"),
        rows.first.searchsorted(whole_below(last), side="right"),
    ):
        if edge < len(new):
            new[edge] = True
    starts = np.flatnonzero(new)
    lowest, lowest_at = _least(rows.lowest, rows.lowest_at, starts)
    highest, highest_at = _least(-rows.highest, rows.highest_at, starts)
    return Rows(
        rows.first[starts],
        lowest_at,
        highest_at,
        lowest,
        -highest,
        np.fmin.reduceat(rows.positive, starts),
    )


def _width(least: float) -> float:
    """The next width of 1, 1.25, 1.5 or 1.75 times a power of two."""
    if not least > 0.0:
        return 1.0
    power = 2.0 ** math.floor(math.log2(least))
    return next((width * power for width in _WIDTHS if width * power >= least), 2.0 * power)


def _least(values: Floats, at: Whole, starts: Whole) -> tuple[Floats, Whole]:
    """The least value of each run of rows that begins at ``starts``, and its step."""
    least = np.fmin.reduceat(values, starts)
    sizes = np.diff(starts, append=len(values))
    equal = np.flatnonzero(values == np.repeat(least, sizes))
    place = starts.copy()
    some = ~np.isnan(least)
    place[some] = equal[np.searchsorted(equal, starts[some])]
    return least, at[place]


def _points(rows: Rows, positive: bool) -> tuple[Floats, Floats]:
    """Each row's least and largest value in the order in which they came; one point where they are
    the same, or a gap.
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


def _extremes(
    known: tuple[float, float, float], lowest: Floats, highest: Floats, positive: Floats
) -> tuple[float, float, float]:
    """Least, least positive and largest of what was known and what is new, NaN where there is none."""
    if not len(lowest):
        return known
    new = (np.fmin.reduce(lowest), np.fmin.reduce(positive), np.fmax.reduce(highest))
    return (
        float(np.fmin(known[0], new[0])),
        float(np.fmin(known[1], new[1])),
        float(np.fmax(known[2], new[2])),
    )
