"""TensorBoard's event files: each series as scalars, a folder a run.

A file is a sequence of TFRecords: the length of a message, its checksum, a message ``Event`` and its
checksum. The rows of a run are made into bytes many at a time: those with the same series have the
same layout. TensorBoard's scalars are in single precision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optlab.core.crc32c import masked_rows
from optlab.core.errors import StoreError
from optlab.core.files import replacing
from optlab.store.export.table import Column, Table

FILE = "events.out.tfevents.0000000000.optlab"
"""Name of the file in the folder of a run."""
_ROWS_AT_ONCE = 10_000
_SECONDS = "seconds"
"""The series with the time since the start of a run."""
Bytes = NDArray[np.uint8]


def write(table: Table, path: Path) -> None:
    """Write the table: in the folder ``path``, a folder with an event file for each run.

    Args:
        table: of a run or several.
        path: of the folder, which is created.

    Raises:
        StoreError: a file cannot be written.
    """
    about = (
        {table.about["run"]: table.about}
        if table.runs is None
        else {one["run"]: one for one in json.loads(table.about["runs"])}
    )
    end = 0
    for run, length in table.runs or ((table.about["run"], len(table.steps)),):
        begin, end = end, end + length
        folder = path / run
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be created: {error.strerror or error}.") from error
        began = _time_of(about[run])
        with replacing(folder / FILE) as temporary, temporary.open("wb") as file:
            file.write(_head(began))
            for first in range(begin, end, _ROWS_AT_ONCE):
                file.write(_events(table, slice(first, min(first + _ROWS_AT_ONCE, end)), began))


def _time_of(about: Mapping[str, str]) -> float:
    """Return when a run began, in seconds since 1970."""
    return datetime.fromisoformat(about["created"]).timestamp()


def _head(began: float) -> bytes:
    version = b"brain.Event:2"
    message = b"\x09" + np.float64(began).tobytes() + b"\x1a" + _varint(len(version)) + version
    return _records(np.frombuffer(message, dtype=np.uint8)[None])[0]


def _events(table: Table, rows: slice, began: float) -> bytes:
    """Return the records of some rows, one a step, in their order."""
    steps = table.steps[rows]
    present = np.stack([column.present[rows] for column in table.columns], axis=1)
    times = np.full(len(steps), began)
    for column in table.columns:
        if column.name == _SECONDS:
            seconds, known = column.values[rows], column.present[rows]
            times += np.where(known & np.isfinite(seconds), seconds, 0.0)
    lengths = np.array([len(_varint(int(step))) for step in steps])
    patterns, kinds = np.unique(
        np.column_stack([lengths, present]).astype(np.int64), axis=0, return_inverse=True
    )
    records: list[bytes] = [b""] * len(steps)
    for kind, pattern in enumerate(patterns):
        chosen = np.flatnonzero(kinds.reshape(-1) == kind)
        if not pattern[1:].any():
            continue
        columns = [table.columns[index] for index in np.flatnonzero(pattern[1:])]
        messages = _messages(columns, rows.start + chosen, steps[chosen], times[chosen])
        for index, record in zip(chosen.tolist(), _records(messages), strict=True):
            records[index] = record
    return b"".join(records)


def _messages(
    columns: list[Column],
    rows: NDArray[np.intp],
    steps: NDArray[np.int64],
    times: NDArray[np.float64],
) -> Bytes:
    """Return the events ``[n, bytes]`` of rows that all have the same series."""
    count = len(rows)
    values: list[Bytes] = []
    for column in columns:
        tag = column.name.encode()
        head = b"\x0a" + _varint(len(tag)) + tag + b"\x15"
        # A number that single precision does not reach is infinite there.
        with np.errstate(over="ignore"):
            numbers = column.values[rows].astype("<f4")
        value = b"\x0a" + _varint(len(head) + 4) + head
        values += [_repeated(value, count), _bytes_of(numbers)]
    summary = np.concatenate(values, axis=1)
    parts = [
        _repeated(b"\x09", count),
        _bytes_of(times.astype("<f8")),
        np.array([list(b"\x10" + _varint(int(step))) for step in steps], dtype=np.uint8),
        _repeated(b"\x2a" + _varint(summary.shape[1]), count),
        summary,
    ]
    return np.concatenate(parts, axis=1)


def _records(messages: Bytes) -> list[bytes]:
    """Return the TFRecord of each row of ``messages`` ``[n, bytes]``."""
    count, length = messages.shape
    size = _bytes_of(np.full(count, length, dtype="<u8"))
    checks = [_bytes_of(masked_rows(part).astype("<u4")) for part in (size, messages)]
    whole = np.concatenate([size, checks[0], messages, checks[1]], axis=1)
    return [row.tobytes() for row in whole]


def _bytes_of(numbers: NDArray[np.generic]) -> Bytes:
    """Return the bytes ``[n, size]`` of numbers ``[n]``."""
    return np.ascontiguousarray(numbers).view(np.uint8).reshape(len(numbers), -1)


def _repeated(content: bytes, count: int) -> Bytes:
    return np.broadcast_to(np.frombuffer(content, dtype=np.uint8), (count, len(content)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
