"""The log of a W&B run, as ``wandb`` writes it beside an offline (and an online) run.

The file is a log in the format of LevelDB: blocks of 32 KiB with records, each with a checksum, and
each a message ``Record`` or a part of one.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from optlab.outside.foreign_runs.growing_files import read_from
from optlab.outside.foreign_runs.protobuf_wire import Malformed, fields, signed
from optlab.outside.foreign_runs.records import (
    MAX_TEXT,
    Collected,
    NewValues,
    Place,
    RunIdentity,
    RunSource,
    number,
    step_of,
)

ENDING = ".wandb"
_MARK = b":W&B"
_HEADER, _BLOCK = 7, 32_768
_RECORD = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_HISTORY, _CONFIG, _RUN, _EXIT = 2, 5, 17, 18
_MAX_SETTINGS = 500


class WandbSource(RunSource):
    """The log of one run."""

    program = "W&B"

    def identity(self) -> RunIdentity:
        """Return name, time and settings of the run, from the first records."""
        title = created = ""
        settings: dict[str, str] = {}
        for kind, message in _records(read_from(self.path, 0), 0, _Passed()):
            if kind in (_RUN, _CONFIG):
                name, when, some = _described(message, whole=kind == _RUN)
                title, created, settings = title or name, created or when, settings | some
            elif kind == _HISTORY and title:
                break
        return RunIdentity(self.id, title or self.id, created, self.program, settings)

    def read(self, _identity: RunIdentity, place: Place) -> NewValues:
        """Return the history since a place; see :class:`~.records.RunSource`."""
        offset = place[0] if place else 0
        passed, found = _Passed(offset), Collected()
        events: list[dict[str, Any]] = []
        for kind, message in _records(read_from(self.path, offset), offset, passed):
            try:
                if kind == _HISTORY:
                    _add_history(message, found)
                elif kind == _EXIT:
                    code = next((v for n, _, v in fields(message) if n == 1), 0)
                    events.append({"kind": "ended", "status": "failed" if code else "finished"})
            except Malformed:
                passed.skipped += len(message)
        return NewValues((passed.end,), passed.skipped, found.series(), tuple(events))


class _Passed:
    """Up to where a log was read, and how many bytes belong to no sound record."""

    def __init__(self, end: int = 0) -> None:
        self.end, self.skipped = end, 0


def _records(content: bytes, offset: int, passed: _Passed) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of what each ``Record`` holds.

    Args:
        content: of the file from ``offset`` on, where a record begins. passed: is kept up to date.
    """
    at = 0
    if offset == 0:
        if len(content) < _HEADER or not content.startswith(_MARK):
            passed.skipped += len(content)
            return
        at = passed.end = _HEADER
    parts: list[bytes] = []
    while True:
        left = _BLOCK - (offset + at) % _BLOCK
        if left < _RECORD.size:
            at += left  # the rest of a block that has no room for a record is zeros
        if len(content) - at < _RECORD.size:
            return
        check, length, kind = _RECORD.unpack_from(content, at)
        begin = at + _RECORD.size
        if begin + length > len(content):
            return
        data = content[begin : begin + length]
        if (
            kind not in (_FULL, _FIRST, _MIDDLE, _LAST)
            or zlib.crc32(data, _TYPE_CRC[kind]) != check
        ):
            # As LevelDB does: the rest of the block is lost.
            rest = min(_BLOCK - (offset + at) % _BLOCK, len(content) - at)
            passed.skipped += rest
            at += rest
            parts, passed.end = [], offset + at
            continue
        at = begin + length
        if kind in (_FULL, _FIRST):
            parts = []
        parts.append(data)
        if kind in (_FULL, _LAST):
            passed.end = offset + at
            yield from _held(b"".join(parts), passed)


_TYPE_CRC = {kind: zlib.crc32(bytes([kind])) for kind in (_FULL, _FIRST, _MIDDLE, _LAST)}


def _held(record: bytes, passed: _Passed) -> Iterator[tuple[int, bytes]]:
    try:
        held = [(n, v) for n, _, v in fields(record) if isinstance(v, bytes)]
    except Malformed:
        passed.skipped += len(record)
        return
    yield from held


def _add_history(message: bytes, found: Collected) -> None:
    step, values = None, []
    for field, _, value in fields(message):
        if field == 1 and isinstance(value, bytes):
            name, document = _item(value)
            if name == "_step":
                step = step_of(document)
            elif not name.startswith("_"):
                values.append((name, number(document)))
        elif field == 2 and isinstance(value, bytes):
            counted = next((v for n, _, v in fields(value) if n == 1), 0)
            step = signed(counted) if isinstance(counted, int) and step is None else step
    for name, one in values:
        if one is not None and step is not None:
            found.add(name, step, one)


def _item(message: bytes) -> tuple[str, object]:
    """Return the name of an item, its parts joined by points, and its value."""
    name, nested, value = "", [], b"null"
    for field, _, part in fields(message):
        if isinstance(part, bytes):
            if field == 1:
                name = part.decode("utf-8", "replace")
            elif field == 2:
                nested.append(part.decode("utf-8", "replace"))
            elif field == 16:
                value = part
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        document = None
    return (name or ".".join(nested))[:MAX_TEXT], document


def _described(message: bytes, *, whole: bool) -> tuple[str, str, dict[str, str]]:
    """Return name, time and settings of a ``RunRecord``, or the settings of a ``ConfigRecord``."""
    name = when = ""
    settings: dict[str, str] = {}
    try:
        for field, _, part in fields(message):
            if not isinstance(part, bytes):
                continue
            if not whole:
                settings |= _setting(part) if field == 1 else {}
            elif field == 4:
                settings |= _described(part, whole=False)[2]
            elif field == 8:
                name = part.decode("utf-8", "replace")[:MAX_TEXT]
            elif field == 17:
                seconds = next((v for n, _, v in fields(part) if n == 1), 0)
                when = datetime.fromtimestamp(int(seconds), UTC).isoformat()
    except (Malformed, ValueError, OverflowError, OSError):
        return name, when, settings
    return name, when, settings


def _setting(message: bytes) -> dict[str, str]:
    name, value = _item(message)
    return {} if name.startswith("_") else {name: str(value)[:MAX_TEXT]}
