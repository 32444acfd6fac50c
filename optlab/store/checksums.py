"""Checksums of metadata: each row has one, so that a bit that flipped on the disk is noticed."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring_ascii

_BREAK = "\n"
_encode = json.JSONEncoder(default=str).encode
# In an encoded text a line break is escaped, so that one separates values.
_encode_column = json.JSONEncoder(default=str, separators=(_BREAK, ":")).encode


def checksum(*values: object) -> int:
    """Return the CRC-32 of the values of a row; the text "1" and the number 1 differ."""
    return zlib.crc32(_encode(values).encode())


def checksums(rows: Sequence[Sequence[object]]) -> list[int]:
    """Return the :func:`checksum` of each row, several times as fast as one by one.

    Args:
        rows: values that SQLite returns; each row has at least one.
    """
    columns = [_texts(column) for column in zip(*rows, strict=True)]
    return [zlib.crc32(f"[{', '.join(row)}]".encode()) for row in zip(*columns, strict=True)]


def _texts(column: Sequence[object]) -> list[str]:
    """Return each value as :func:`checksum` encodes it."""
    # Numbers cannot be looked up: 1 and 1.0 are equal. Most texts occur in many rows.
    if set(map(type, column)) == {str}:
        different = set(column)
        if 2 * len(different) < len(column):
            texts = {value: _encode(value) for value in different}
            return [texts[value] for value in column]
        return [encode_basestring_ascii(str(value)) for value in column]
    return _encode_column(list(column))[1:-1].split(_BREAK)


def is_intact(values: Sequence[object], expected: object) -> bool:
    """Return whether the values of a row match its checksum.

    A row that was written before there were checksums has None, and counts as intact.
    """
    return expected is None or expected == checksum(*values)


def register(connection: sqlite3.Connection) -> None:
    """Register :func:`checksum` as the SQL function ``optlab_checksum`` of a connection.

    It cannot be given text that is not UTF-8; :func:`matching` can.
    """
    connection.create_function("optlab_checksum", -1, checksum, deterministic=True)
    connection.create_function("optlab_checksum_of_raw", -1, _checksum_of_raw, deterministic=True)


def matching(columns: Iterable[str]) -> str:
    """Return the SQL condition that ``checksum`` is that of the columns, or that there is none.

    A damaged row may hold text that is not UTF-8, on which a function of Python's would fail, and
    the whole statement with it. So texts are passed as bytes.
    """
    raw = ", ".join(
        f"typeof({name}), CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END"
        for name in columns
    )
    return f"(checksum IS NULL OR checksum = optlab_checksum_of_raw({raw}))"


def _checksum_of_raw(*pairs: object) -> int:
    values = [
        value.decode("utf-8", "surrogateescape")
        if kind == "text" and isinstance(value, bytes)
        else value
        for kind, value in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    return checksum(*values)
