"""Places in one block of memory for tensors of which each is needed for a time."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

ALIGNMENT = 64
"""Bytes: a line of the cache, and the longest vector."""

Key = TypeVar("Key", bound=Hashable)


class Span(NamedTuple):
    """A tensor of ``size`` bytes that is needed from call ``first`` to call ``last``, inclusive."""

    size: int
    first: int
    last: int


def placed(spans: Mapping[Key, Span]) -> tuple[dict[Key, int], int]:
    """Return the offset of each tensor in bytes, and the bytes of all.

    Tensors whose times overlap have places that do not. The largest are placed first, each at the
    lowest offset that is free, so that little memory is touched.
    """
    offsets: dict[Key, int] = {}
    total = 0
    for key in sorted(spans, key=lambda key: (-spans[key].size, spans[key].first)):
        size, first, last = spans[key]
        taken = sorted(
            (offset, offset + _aligned(spans[other].size))
            for other, offset in offsets.items()
            if spans[other].first <= last and first <= spans[other].last
        )
        begin = 0
        for low, high in taken:
            if begin + size <= low:
                break
            begin = max(begin, high)
        offsets[key] = begin
        total = max(total, begin + _aligned(size))
    return offsets, total


def _aligned(size: int) -> int:
    return -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
