"""The wire format of protocol buffers: the fields of a message, without its schema.

Readers of foreign runs need a few fields of a few messages. Their schemas come with packages that
are many times as large as OptLab.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TypeAlias

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5

Value: TypeAlias = int | bytes
Field: TypeAlias = tuple[int, int, Value]
"""Number, wire type, and an integer for ``VARINT``, else the bytes."""


class Malformed(ValueError):
    """Bytes that are no message."""


def fields(message: bytes) -> Iterator[Field]:
    """Yield the fields of a message in their order.

    Raises:
        Malformed: the bytes are no message.
    """
    at, end = 0, len(message)
    while at < end:
        key, at = varint(message, at)
        number, kind = key >> 3, key & 7
        value: Value
        if kind == VARINT:
            value, at = varint(message, at)
        else:
            if kind == LENGTH_DELIMITED:
                size, at = varint(message, at)
            elif kind == FIXED64:
                size = 8
            elif kind == FIXED32:
                size = 4
            else:
                raise Malformed(f"wire type {kind}")
            if size > end - at:
                raise Malformed("a field is longer than its message")
            value = message[at : at + size]
            at += size
        yield number, kind, value


def varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the variable-length integer at a position, and the position after it.

    Raises:
        Malformed: there is none.
    """
    value = shift = 0
    while shift < 70:
        if at >= len(message):
            raise Malformed("a number is cut off")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise Malformed("a number is too long")


def signed(value: int) -> int:
    """Return a 64-bit integer as the signed number that ``int64`` and ``int32`` mean by it."""
    return value - (1 << 64) if value >= 1 << 63 else value


def single(value: bytes) -> float:
    """Return a ``float`` of 4 bytes."""
    (found,) = struct.unpack("<f", value)
    return float(found)


def double(value: bytes) -> float:
    """Return a ``double`` of 8 bytes."""
    (found,) = struct.unpack("<d", value)
    return float(found)
