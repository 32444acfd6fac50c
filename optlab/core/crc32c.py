"""CRC-32C as TFRecords have it (rotated and shifted), of one message or of many of one length."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

_ALL = 0xFFFF_FFFF
_ADDED = 0xA282_EAD8


def masked(content: bytes) -> int:
    """Return the checksum of a message."""
    table, crc = _table(), _ALL
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= _ALL
    return (((crc >> 15) | (crc << 17)) + _ADDED) & _ALL


def masked_rows(messages: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the checksum of each row of ``messages`` ``[n, bytes]``."""
    table = np.array(_table(), dtype=np.uint32)
    crc = np.full(len(messages), _ALL, dtype=np.uint32)
    for column in messages.T:
        crc = table[(crc ^ column) & 0xFF] ^ (crc >> np.uint32(8))
    crc ^= np.uint32(_ALL)
    rotated = (crc >> np.uint32(15)) | (crc << np.uint32(17))
    return (rotated.astype(np.uint64) + _ADDED).astype(np.uint32)


@functools.cache
def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F6_3B78 if value & 1 else 0)  # noqa: PLW2901
        table.append(value)
    return table
