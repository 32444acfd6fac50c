"""A ring: columns of rows that only ever grow at the end, of which the first few and the newest
many are kept.

Rows are numbered from 0 in order of arrival, for good; the middle is what is forgotten. The first
are kept because a logarithmic step axis gives them half its width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

GROUP = 4
"""Rows are forgotten in whole groups of so many, so that a bucket made of a group never loses a
part of it.
"""

_LAST = 2**62
Columns = tuple[NDArray[Any], ...]


def whole_below(key: float) -> np.int64:
    """The largest whole number that is not above ``key``.

    Searching for a float in whole numbers would turn all of them into floats first.
    """
    return np.int64(math.floor(min(max(key, -_LAST), _LAST)))


class Ring:
    """Columns of equal length; the first column is increasing.

    Args:
        types: type of each column. capacity: how many of the newest rows are kept at least. head:
            how many of the first; a multiple of 4.
    """

    def __init__(self, types: Sequence[DTypeLike], capacity: int, head: int) -> None:
        self._columns = [np.empty(0, dtype=kind) for kind in types]
        self._capacity = capacity
        self._most = capacity + max(GROUP, capacity // 4)
        self._head_rows = head
        self._head: Columns = ()
        self._head_end = 0
        self._begin = 0
        self._end = 0
        self.count = 0
        """How many rows there ever were."""

    @property
    def _start(self) -> int:
        """Number of the oldest of the newest rows."""
        return self.count - (self._end - self._begin)

    def append(self, columns: Columns) -> None:
        """Add rows, at most ``capacity`` at once."""
        more = len(columns[0])
        if self._end + more > len(self._columns[0]):
            self._make_room(more)
        for column, values in zip(self._columns, columns, strict=True):
            column[self._end : self._end + more] = values
        self._end += more
        self.count += more

    def _make_room(self, more: int) -> None:
        stored = self._end - self._begin
        surplus = stored + more - self._capacity
        if surplus > 0:
            surplus = min(stored, -(-surplus // GROUP) * GROUP) // GROUP * GROUP
            if not self._head:
                self._head = tuple(column[: self._head_rows].copy() for column in self._columns)
                self._head_end = int(self._columns[0][self._head_rows])
            self._begin += surplus
            stored -= surplus
        size = len(self._columns[0])
        wanted = self._most if surplus > 0 else min(self._most, max(64, 2 * size, stored + more))
        for place, column in enumerate(self._columns):
            # Moved within the same memory where it suffices; a fresh one is made only while
            # growing.
            target = column if wanted == size else np.empty(wanted, dtype=column.dtype)
            target[:stored] = column[self._begin : self._end]
            self._columns[place] = target
        self._begin, self._end = 0, stored

    def find(self, key: float) -> tuple[int, int] | None:
        """The last row whose first column is at most ``key`` (row 0 where none is), and one past
        the last row kept without a gap after it.

        None where that row has been forgotten.
        """
        if not self.count:
            return None
        newest = self._columns[0][self._begin : self._end]
        start = self._start
        whole = whole_below(key)
        if start == 0 or newest[0] <= whole:
            return start + max(0, int(newest.searchsorted(whole, side="right")) - 1), self.count
        if self._head and whole < self._head_end:
            return max(0, int(self._head[0].searchsorted(whole, side="right")) - 1), len(
                self._head[0]
            )
        return None

    def holds(self, first: int, end: int) -> bool:
        """Whether rows ``first`` up to ``end`` are all there."""
        return first >= end or (
            end <= self.count
            and (first >= self._start or (bool(self._head) and end <= len(self._head[0])))
        )

    def rows(self, first: int, end: int) -> Columns:
        """Rows ``first`` up to ``end``, as views that the next :meth:`append` may overwrite.

        Raises:
            IndexError: some of them have been forgotten.
        """
        if not self.holds(first, end):
            raise IndexError(f"rows {first} to {end} of {self.count} are not kept")
        if first >= self._start:
            offset = self._begin - self._start
            return tuple(column[first + offset : end + offset] for column in self._columns)
        return tuple(column[first:end] for column in self._head)

    @property
    def bytes(self) -> int:
        """Memory that is held."""
        return sum(column.nbytes for column in (*self._columns, *self._head))
