"""A min/max pyramid: a growing series in bounded memory that can be drawn at any zoom.

Any range of steps is drawn with about two points a pixel, and no spike is lost. Level 0 holds
samples, level ``l`` holds buckets of ``4**l`` samples with their minimum and maximum. Each level
keeps its newest rows and its first few, so old parts stay visible at a lower resolution. A range is
assembled like a number from digits: buckets of one level in the middle, finer ones at both ends, so
its extremes are exact wherever samples are still kept.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from optlab.gui.plots import curve_rows
from optlab.gui.plots.curve_rows import Floats, Ints, Rows
from optlab.gui.plots.ring import GROUP, Ring

SAMPLES = 2**17
"""Newest samples kept (2 MB a series)."""
BUCKETS = 2**14
"""Newest buckets kept at each level (0.8 MB): four to a pixel on the widest screens."""
HEAD = 2**11
"""First rows kept at each level."""
BATCH = GROUP**5
"""Samples are put into buckets in batches of this size, so that a small block costs two copies."""


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
        self._extremes_so_far = curve_rows.extremes(
            self._extremes_so_far, new, new, np.where(new > 0.0, new, np.nan)
        )

    def _fill_levels(self) -> None:
        """Put pending rows of each level into buckets of the next."""
        done = self._levels[0].count * GROUP if self._levels else 0
        pending = (self._samples.count - done) // self._batch * self._batch
        if not pending:
            return
        new = curve_rows.merged_by_group(
            curve_rows.buckets(self._samples.rows(done, done + pending))
        )
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
            new = curve_rows.merged_by_group(Rows(*level.rows(done, done + pending)))
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
        parts = self._neighbors(begin, inner)
        if inner < outer and log_x:
            parts.append(self._cover_log(inner, outer, first, last, pixels))
        elif inner < outer:
            parts.append(self._cover(inner, outer, self._level(inner, outer, 4 * pixels)))
        parts += self._neighbors(max(inner, outer), end)
        rows = curve_rows.concatenate(parts)
        if len(rows.first) > pixels:
            rows = curve_rows.binned(rows, first, last, pixels, log_x)
        x, y = curve_rows.points(rows, positive)
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
            lowest, smallest, highest = curve_rows.extremes(
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

    def _finest_row(self, step: float, begin: int | None = None) -> tuple[int, int, int]:
        """Return the index of the finest row kept at ``step``.

        Also return one past the last row that follows it without a gap, and the number of samples
        of a row.

        Args:
            begin: first sample of a range that ends with this row; the range then has to be covered
                by rows that are kept.
        """
        size, finest = 1, None
        for ring in (self._samples, *self._levels):
            position = ring.find(step)
            if position is not None:
                row, end = position
                if begin is None or self._can_cover(begin, (row + 1) * size):
                    return row, end, size
                finest = finest or (row, end, size)
            size *= GROUP
        assert finest is not None, "the coarsest level keeps everything"
        return finest

    def _can_cover(self, begin: int, end: int) -> bool:
        """Return whether :meth:`_cover` can cover samples ``begin`` to ``end`` from any level.

        Between the first rows of a level, which are kept, and its newest ones, rows are dropped; a
        range that ends within rows that a coarser level alone keeps cannot be covered exactly.
        """
        levels = range(len(self._levels), -1, -1)
        return any(self._is_covered(begin, end, level) for level in levels)

    def _is_covered(self, begin: int, end: int, level: int) -> bool:
        """Return whether :meth:`_cover` finds all rows that it needs."""
        while level > 0:
            size = GROUP**level
            ring = self._levels[level - 1]
            first, last = -(-begin // size), min(end // size, ring.count)
            if first < last and ring.holds(first, last):
                return (
                    begin >= first * size or self._is_covered(begin, first * size, level - 1)
                ) and (end <= last * size or self._is_covered(last * size, end, level - 1))
            level -= 1
        return self._samples.holds(begin, end)

    def _range_with_neighbors(self, first: float, last: float) -> tuple[int, int]:
        """Return the range of sample indices from step ``first`` to ``last`` with neighbors.

        The range is widened to rows that are kept.
        """
        row, _, size = self._finest_row(first)
        begin = row * size
        row, end, size = self._finest_row(last, begin)
        return begin, min(row + 2, end) * size

    def _range_inside(self, first: float, last: float) -> tuple[int, int]:
        """Return the range of sample indices from step ``first`` to ``last``."""
        row, _, size = self._finest_row(first)
        if size == 1 and self._samples.rows(row, row + 1)[0][0] < first:
            row += 1
        begin = row * size
        row, _, size = self._finest_row(last, begin)
        return begin, (row + 1) * size

    def _neighbors(self, begin: int, end: int) -> list[Rows]:
        """Return the rows beside a range; none where they were dropped."""
        if begin >= end or not self._can_cover(begin, end):
            return []
        return [self._cover(begin, end, self._level(begin, end, GROUP))]

    def _level(self, begin: int, end: int, max_rows: int) -> int:
        """Return the finest level that holds the samples in at most ``max_rows`` rows.

        Where there is none, return the coarsest that holds them.
        """
        levels = range(len(self._levels) + 1)
        for level in levels:
            if end - begin <= max_rows * GROUP**level and self._is_covered(begin, end, level):
                return level
        covering = (level for level in reversed(levels) if self._is_covered(begin, end, level))
        return next(covering, len(self._levels))

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
                return curve_rows.concatenate([*left, Rows(*ring.rows(first, last)), *right])
            level -= 1
        return curve_rows.buckets(self._samples.rows(begin, end))

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
            row, _, size = self._finest_row(edge, edges[-1])
            split = min(max(row * size, edges[-1]), end)
            # Where rows were dropped, a range may be covered as a whole and not in two parts.
            if self._can_cover(edges[-1], split) and self._can_cover(split, end):
                edges.append(split)
            edge *= 4.0
        edges.append(end)
        parts = [
            self._cover(a, b, self._level(a, b, 4 * share))
            for a, b in zip(edges, edges[1:], strict=False)
            if a < b
        ]
        return curve_rows.concatenate(parts)
