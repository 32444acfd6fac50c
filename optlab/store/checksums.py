"""Checksums of metadata: each row has one, so that a bit that flipped on the disk is noticed."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence

encode = json.JSONEncoder(default=str).encode
"""Encode one value, or a list of values, as the checksum reads it."""


def checksum(*values: object) -> int:
    """Return the CRC-32 of the values of a row; the text "1" and the number 1 differ."""
    return zlib.crc32(encode(values).encode())


def checksum_of_encoded(values: Iterable[str]) -> int:
    """Return the checksum of a row whose values were encoded one by one with :data:`encode`."""
    return zlib.crc32(f"[{', '.join(values)}]".encode())


def is_intact(values: Sequence[object], expected: object) -> bool:
    """Return whether the values of a row match its checksum.

    A row that was written before there were checksums has None, and counts as intact.
    """
    return expected is None or expected == checksum(*values)


def register(connection: sqlite3.Connection) -> None:
    """Register :func:`checksum` as the SQL function ``optlab_checksum`` of a connection."""
    connection.create_function("optlab_checksum", -1, checksum, deterministic=True)
