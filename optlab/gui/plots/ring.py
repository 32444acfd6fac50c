"""A ring buffer of rows in columns that keeps the first few rows and the newest.

Rows are appended at the end and numbered from 0 in order of arrival; rows in the middle are
dropped. The first rows are kept because a logarithmic step axis gives them half its width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

GROUP = 4
"""Rows are dropped in groups of this size, so that a bucket never loses a part of its group."""

_LAST = 2**62
Columns = tuple[NDArray[Any], ...]


def floor_int(key: float) -> np.int64:
    """Return the largest integer that is not above ``key``.

    Searching for a float in an integer array would convert the array to floats first.
    """
    return np.int64(math.floor(min(max(key, -_LAST), _LAST)))


class Ring:
    """Columns of equal length; the first column is increasing.

    Args:
        types: type of each column. capacity: minimum number of newest rows that are kept. head:
            number of first rows that are kept, a multiple of 4.
    """

    def __init__(self, types: Sequence[DTypeLike], capacity: int, head: int) -> None:
        self._columns = [np.empty(0, dtype=kind) for kind in types]
        self._capacity = capacity
        self._max_rows = capacity + max(GROUP, capacity // 4)
        self._head_rows = head
        self._head: Columns = ()
        self._head_end = 0
        self._begin = 0
        self._end = 0
        self.count = 0
        """Number of rows appended so far."""

    @property
    def _start(self) -> int:
        """Number of the oldest row of the newest."""
        return self.count - (self._end - self._begin)

    def append(self, columns: Columns) -> None:
        """Append rows ``[n]`` of each column, at most ``capacity`` at once."""
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
        wanted = (
            self._max_rows if surplus > 0 else min(self._max_rows, max(64, 2 * size, stored + more))
        )
        for number, column in enumerate(self._columns):
            # Rows move within the same memory; it is reallocated only while the ring grows.
            target = column if wanted == size else np.empty(wanted, dtype=column.dtype)
            target[:stored] = column[self._begin : self._end]
            self._columns[number] = target
        self._begin, self._end = 0, stored

    def find(self, key: float) -> tuple[int, int] | None:
        """Return the last row whose first column is at most ``key``, or row 0.

        Also return one past the last row kept without a gap after it. None if the row was dropped.
        """
        if not self.count:
            return None
        newest = self._columns[0][self._begin : self._end]
        start = self._start
        target = floor_int(key)
        if start == 0 or newest[0] <= target:
            return start + max(0, int(newest.searchsorted(target, side="right")) - 1), self.count
        if self._head and target < self._head_end:
            return max(0, int(self._head[0].searchsorted(target, side="right")) - 1), len(
                self._head[0]
            )
        return None

    def holds(self, first: int, end: int) -> bool:
        """Return whether rows ``first`` to ``end``, without ``end``, are all kept."""
        return first >= end or (
            end <= self.count
            and (first >= self._start or (bool(self._head) and end <= len(self._head[0])))
        )

    def rows(self, first: int, end: int) -> Columns:
        """Return rows ``first`` to ``end``, without ``end``: one array ``[end - first]`` a column.

        The arrays are views that the next :meth:`append` may overwrite.

        Raises:
            IndexError: some of the rows were dropped.
        """
        if not self.holds(first, end):
            raise IndexError(f"rows {first} to {end} of {self.count} are not kept")
        if first >= self._start:
            offset = self._begin - self._start
            return tuple(column[first + offset : end + offset] for column in self._columns)
        return tuple(column[first:end] for column in self._head)

    def kept(self) -> list[tuple[int, int]]:
        """Return the ranges ``(first, end)`` of rows that are kept, in order."""
        head = len(self._head[0]) if self._head else 0
        if self._start <= head:
            return [(0, self._start), (self._start, self.count)]
        return [(0, head), (self._start, self.count)]

    @property
    def bytes(self) -> int:
        """Memory used, in bytes."""
        return sum(column.nbytes for column in (*self._columns, *self._head))
