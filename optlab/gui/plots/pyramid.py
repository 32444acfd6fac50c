"""A min/max pyramid: a growing series in bounded memory that can be drawn at any zoom.

Any range of steps is drawn with about two points a pixel, and no spike is lost. Level 0 holds
samples, level ``l`` holds buckets of ``4**l`` samples with their minimum and maximum. Each level
keeps its newest rows and its first few, so old parts stay visible at a lower resolution. A range is
assembled like a number from digits: buckets of one level in the middle, finer ones at both ends, so
its extremes are exact wherever samples are still kept.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optlab.gui.plots.ring import GROUP, Ring, floor_int

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SAMPLES = 2**17
"""Newest samples kept (2 MB a series)."""
BUCKETS = 2**14
"""Newest buckets kept at each level (0.8 MB): four to a pixel on the widest screens."""
HEAD = 2**11
"""First rows kept at each level."""
BATCH = GROUP**5
"""Samples are put into buckets in batches of this size, so that a small block costs two copies."""
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


class Reading(NamedTuple):
    """The values at a step: from ``lowest`` to ``highest`` over steps ``first`` to ``last``.

    Both pairs are equal where the sample itself is kept.
    """

    first: int
    last: int
    lowest: float
    highest: float


class Samples(NamedTuple):
    """Samples of a range of steps.

    Attributes:
        steps: ``[n]``. values: ``[n]``, NaN in a gap. exact_from: None if no sample of the range
            was dropped, else the step from which on all samples are kept. older: number of
            samples before that step.
    """

    steps: Ints
    values: Floats
    exact_from: int | None = None
    older: int = 0


class Pyramid:
    """A series of ``(step, value)`` with strictly increasing steps; a non-finite value is a gap.

    Args:
        samples, buckets, head, batch: sizes; see the constants of this module. All are multiples
            of 4, ``batch`` is a power of 4.
    """

    def __init__(
        self, samples: int = SAMPLES, buckets: int = BUCKETS, head: int = HEAD, batch: int = BATCH
    ) -> None:
        self._samples = Ring((np.int64, np.float64), samples, head)
        self._levels: list[Ring] = []
        self._sizes = (buckets, head)
        self._batch = batch
        # Complete batches, small enough that no row is dropped before it is in a bucket of the
        # next level.
        self._block = max(batch, min(samples // 4, buckets) // batch * batch)
        self.first: int | None = None
        """Step of the first sample, None without samples; ``last``: of the last sample."""
        self.last: int | None = None
        self._extremes_so_far = (math.nan, math.nan, math.nan)

    def __len__(self) -> int:
        return self._samples.count

    @property
    def bytes(self) -> int:
        """Memory used, in bytes."""
        return self._samples.bytes + sum(level.bytes for level in self._levels)

    # --- growing --------------------------------------------------------------

    def append(self, steps: ArrayLike, values: ArrayLike) -> None:
        """Append samples ``[n]``.

        Raises:
            ValueError: the steps do not increase, or the numbers of steps and values differ.
        """
        at = np.asarray(steps, dtype=np.int64).reshape(-1)
        new = np.asarray(values, dtype=np.float64).reshape(-1)
        if at.shape != new.shape:
            raise ValueError(f"{len(at)} steps with {len(new)} values")
        if not len(at):
            return
        if (self.last is not None and at[0] <= self.last) or (
            len(at) > 1 and not (at[1:] > at[:-1]).all()
        ):
            raise ValueError("the steps of a series must increase")
        if not np.isfinite(new).all():
            new = np.where(np.isfinite(new), new, np.nan)
        for begin in range(0, len(at), self._block):
            block = slice(begin, begin + self._block)
            self._samples.append((at[block], new[block]))
            self._fill_levels()
        if self.first is None:
            self.first = int(at[0])
        self.last = int(at[-1])
        self._extremes_so_far = _extremes(
            self._extremes_so_far, new, new, np.where(new > 0.0, new, np.nan)
        )

    def _fill_levels(self) -> None:
        """Put pending rows of each level into buckets of the next."""
        done = self._levels[0].count * GROUP if self._levels else 0
        pending = (self._samples.count - done) // self._batch * self._batch
        if not pending:
            return
        new = _merged_by_group(_buckets(self._samples.rows(done, done + pending)))
        index = 0
        while True:
            if index == len(self._levels):
                self._levels.append(Ring((np.int64,) * 3 + (np.float64,) * 3, *self._sizes))
            level = self._levels[index]
            level.append(tuple(new))
            done = self._levels[index + 1].count * GROUP if index + 1 < len(self._levels) else 0
            pending = (level.count - done) // GROUP * GROUP
            if not pending:
                return
            new = _merged_by_group(Rows(*level.rows(done, done + pending)))
            index += 1

    # --- reading --------------------------------------------------------------

    def view(
        self, first: float, last: float, pixels: int, *, log_x: bool = False, positive: bool = False
    ) -> tuple[Floats, Floats]:
        """Return points ``(x, y)``, ``[n]`` each, that draw steps ``first`` to ``last``.

        There are at most two points a pixel, in order, plus a neighbor on either side of the
        range. Gaps are NaN in ``y``.

        Args:
            pixels: width of the range. log_x: pixels are even in the logarithm of the step; steps
                below 1 are left out. positive: leave out values that are not positive.
        """
        pixels = max(1, int(pixels))
        if self.first is None or self.last is None or not last >= first:
            return np.empty(0), np.empty(0)
        if log_x:
            first, last = max(first, 1.0), max(last, 1.0)
        begin, end = self._range_with_neighbors(first, last)
        # Keep the neighbors separate: merged with samples inside, their values would hide these.
        inner, outer = self._range_inside(first, last)
        inner, outer = min(max(begin, inner), end), max(min(outer, end), begin)
        parts = (
            [self._cover(begin, inner, self._level(begin, inner, GROUP))] if begin < inner else []
        )
        if inner < outer and log_x:
            parts.append(self._cover_log(inner, outer, first, last, pixels))
        elif inner < outer:
            parts.append(self._cover(inner, outer, self._level(inner, outer, 4 * pixels)))
        if max(inner, outer) < end:
            begin = max(inner, outer)
            parts.append(self._cover(begin, end, self._level(begin, end, GROUP)))
        rows = _concatenate(parts)
        if len(rows.first) > pixels:
            rows = _binned(rows, first, last, pixels, log_x)
        x, y = _points(rows, positive)
        if log_x and len(x) and x[0] < 1.0:
            x, y = x[x >= 1.0], y[x >= 1.0]
        return x, y

    def samples(self, first: float, last: float) -> Samples:
        """Return the samples ``[n]`` from step ``first`` to ``last`` that are still kept."""
        parts = []
        for begin, end in self._samples.kept():
            steps, values = self._samples.rows(begin, end)
            inside = slice(*np.searchsorted(steps, (math.ceil(first), math.floor(last) + 1)))
            parts.append((steps[inside], values[inside], steps))
        steps, values = (np.concatenate([part[column] for part in parts]) for column in (0, 1))
        (_, head_end), (newest_begin, _) = self._samples.kept()
        head, newest = (part[2] for part in parts)
        dropped = (
            head_end < newest_begin
            and last > (head[-1] if len(head) else -math.inf)
            and first < newest[0]
        )
        if not dropped:
            return Samples(steps, values)
        return Samples(steps, values, int(newest[0]), newest_begin)

    def bounds(
        self, first: float = -math.inf, last: float = math.inf, *, positive: bool = False
    ) -> tuple[float, float] | None:
        """Return minimum and maximum of the finite values from ``first`` to ``last``, or None.

        Args:
            positive: of the positive values only.
        """
        if self.first is None or self.last is None or last < self.first or first > self.last:
            return None
        if first <= self.first and last >= self.last:
            lowest, smallest, highest = self._extremes_so_far
        else:
            begin, end = self._range_inside(first, last)
            if begin >= end:
                return None
            rows = self._cover(begin, end, self._level(begin, end, 64))
            lowest, smallest, highest = _extremes(
                (math.nan, math.nan, math.nan), rows.lowest, rows.highest, rows.positive
            )
        low = smallest if positive else lowest
        return None if math.isnan(low) else (low, highest)

    def reading(self, step: float) -> Reading | None:
        """Return the sample nearest to ``step``, or its bucket where samples are no longer kept.

        None without samples.
        """
        if self.first is None or self.last is None:
            return None
        position = self._samples.find(step)
        if position is not None:
            row, end = position
            at, values = self._samples.rows(row, min(row + 2, end))
            nearest = int(np.argmin(np.abs(at - step)))
            return Reading(
                int(at[nearest]), int(at[nearest]), float(values[nearest]), float(values[nearest])
            )
        for level in self._levels:
            position = level.find(step)
            if position is not None:
                row, end = position
                rows = Rows(*level.rows(row, min(row + 2, end)))
                last = (
                    int(rows.first[1]) - 1
                    if len(rows.first) > 1
                    else int(max(rows.lowest_at[0], rows.highest_at[0]))
                )
                return Reading(
                    int(rows.first[0]), last, float(rows.lowest[0]), float(rows.highest[0])
                )
        return None

    def _finest_row(self, step: float) -> tuple[int, int, int]:
        """Return the index of the finest row kept at ``step``.

        Also return one past the last row that follows it without a gap, and the number of samples
        of a row.
        """
        size = 1
        for ring in (self._samples, *self._levels):
            position = ring.find(step)
            if position is not None:
                return *position, size
            size *= GROUP
        raise AssertionError("the coarsest level keeps everything")

    def _range_with_neighbors(self, first: float, last: float) -> tuple[int, int]:
        """Return the range of sample indices from step ``first`` to ``last`` with neighbors.

        The range is widened to rows that are kept.
        """
        row, _, size = self._finest_row(first)
        begin = row * size
        row, end, size = self._finest_row(last)
        return begin, min(row + 2, end) * size

    def _range_inside(self, first: float, last: float) -> tuple[int, int]:
        """Return the range of sample indices from step ``first`` to ``last``."""
        row, _, size = self._finest_row(first)
        if size == 1 and self._samples.rows(row, row + 1)[0][0] < first:
            row += 1
        begin = row * size
        row, _, size = self._finest_row(last)
        return begin, (row + 1) * size

    def _level(self, begin: int, end: int, max_rows: int) -> int:
        """Return the finest level that holds the samples in at most ``max_rows`` rows."""
        level, size = 0, 1
        while level < len(self._levels):
            ring = self._levels[level - 1] if level else self._samples
            if end - begin <= max_rows * size and ring.holds(
                -(-begin // size), min(end // size, ring.count)
            ):
                break
            level, size = level + 1, size * GROUP
        return level

    def _cover(self, begin: int, end: int, level: int) -> Rows:
        """Return the rows of samples ``begin`` to ``end``, without ``end``.

        They are of ``level`` in the middle, and finer towards both ends and for samples not yet in
        buckets.
        """
        while level > 0:
            size = GROUP**level
            ring = self._levels[level - 1]
            first, last = -(-begin // size), min(end // size, ring.count)
            # Level 0 reaches further back than level 1, which may lack these rows.
            if first < last and ring.holds(first, last):
                left = [self._cover(begin, first * size, level - 1)] if begin < first * size else []
                right = [self._cover(last * size, end, level - 1)] if last * size < end else []
                return _concatenate([*left, Rows(*ring.rows(first, last)), *right])
            level -= 1
        return _buckets(self._samples.rows(begin, end))

    def _cover_log(self, begin: int, end: int, first: float, last: float, pixels: int) -> Rows:
        """Return rows for a logarithmic axis.

        Each range of steps from ``s`` to ``4 s`` is at the level that suits its share of the
        pixels.
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
            row, _, size = self._finest_row(edge)
            edges.append(min(max(row * size, edges[-1]), end))
            edge *= 4.0
        edges.append(end)
        parts = [
            self._cover(a, b, self._level(a, b, 4 * share))
            for a, b in zip(edges, edges[1:], strict=False)
            if a < b
        ]
        return _concatenate(parts)


def _buckets(samples: tuple[NDArray[Any], ...]) -> Rows:
    steps, values = samples
    return Rows(steps, steps, steps, values, values, np.where(values > 0.0, values, np.nan))


def _concatenate(parts: list[Rows]) -> Rows:
    return (
        parts[0]
        if len(parts) == 1
        else Rows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    )


def _merged_by_group(rows: Rows) -> Rows:
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


def _binned(rows: Rows, first: float, last: float, pixels: int, log_x: bool) -> Rows:
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


def _points(rows: Rows, positive: bool) -> tuple[Floats, Floats]:
    """Return minimum and maximum of each row in order of their steps.

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


def _extremes(
    known: tuple[float, float, float], lowest: Floats, highest: Floats, positive: Floats
) -> tuple[float, float, float]:
    """Return minimum, smallest positive value and maximum of known and new values; NaN for none."""
    if not len(lowest):
        return known
    new = (np.fmin.reduce(lowest), np.fmin.reduce(positive), np.fmax.reduce(highest))
    return (
        float(np.fmin(known[0], new[0])),
        float(np.fmin(known[1], new[1])),
        float(np.fmax(known[2], new[2])),
    )
