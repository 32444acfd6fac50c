"""TensorBoard's event files: scalars, as TensorFlow, PyTorch, Keras, JAX and others write them.

A file is a sequence of TFRecords, each with its length, a checksum of the length, a message ``Event``
and a checksum of that. Scalars are single numbers in a ``Summary``, or tensors of one element.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from pathlib import Path

from optlab.core.crc32c import masked
from optlab.outside.foreign_runs.growing_files import (
    GIVEN_UP,
    key,
    newest,
    offsets,
    place_of,
    read_from,
    size_of,
)
from optlab.outside.foreign_runs.protobuf_wire import (
    FIXED32,
    LENGTH_DELIMITED,
    VARINT,
    Malformed,
    double,
    fields,
    signed,
    single,
    varint,
)
from optlab.outside.foreign_runs.records import (
    MAX_TEXT,
    Collected,
    NewValues,
    Place,
    RunIdentity,
    RunSource,
)

MARK = "tfevents"
"""What the name of an event file has in it."""
_HEAD, _TAIL = 12, 4


class TensorBoardSource(RunSource):
    """The event files of a folder: one run, as TensorBoard has it."""

    program = "TensorBoard"

    def files(self) -> list[Path]:
        """Return the event files, the oldest first."""
        try:
            return sorted(path for path in self.path.iterdir() if MARK in path.name)
        except OSError:
            return []

    def identity(self) -> RunIdentity:
        """Return title and time of the run; its files say no more."""
        files = self.files()
        return RunIdentity(self.id, self.id, _created(files[0]) if files else "", self.program)

    def read(self, _identity: RunIdentity, place: Place) -> NewValues:
        """Return the scalars since a place; see :class:`~.records.RunSource`."""
        seen, found, skipped = offsets(place), Collected(), 0
        for path in self.files():
            offset = seen.get(key(path.name), 0)
            if size_of(path) <= offset:
                continue
            content = read_from(path, offset)
            records, passed, sound = _records(content)
            for event, check in records:
                if masked(event) != check or not _add(event, found):
                    skipped += len(event)
            seen[key(path.name)] = offset + passed if sound else GIVEN_UP
            if not sound:
                skipped += len(content) - passed
        return NewValues(place_of(seen), skipped, found.series())

    def last_written(self) -> float:
        """Return when an event file was written last."""
        return newest(self.files())


def _records(content: bytes) -> tuple[list[tuple[bytes, int]], int, bool]:
    """Return the complete records, the offset after them, and whether what follows may be one.

    Each record comes with the checksum that its file gives it.
    """
    records: list[tuple[bytes, int]] = []
    at = 0
    while len(content) - at >= _HEAD:
        length, check = struct.unpack_from("<QI", content, at)
        if masked(content[at : at + 8]) != check:
            return records, at, False
        end = at + _HEAD + length + _TAIL
        if end > len(content):
            break
        (own,) = struct.unpack_from("<I", content, end - _TAIL)
        records.append((content[at + _HEAD : end - _TAIL], own))
        at = end
    return records, at, True


def _add(event: bytes, found: Collected) -> bool:
    """Add the scalars of an ``Event``; return whether it is one."""
    step, summaries = 0, []
    try:
        for number, kind, value in fields(event):
            if number == 2 and kind == VARINT and isinstance(value, int):
                step = signed(value)
            elif number == 5 and kind == LENGTH_DELIMITED and isinstance(value, bytes):
                summaries.append(value)
        for summary in summaries:
            for number, kind, value in fields(summary):
                if number == 1 and kind == LENGTH_DELIMITED and isinstance(value, bytes):
                    _add_value(value, step, found)
    except Malformed:
        return False
    return True


def _add_value(value: bytes, step: int, found: Collected) -> None:
    tag, scalar = "", None
    for number, kind, part in fields(value):
        if not isinstance(part, bytes):
            continue
        if number == 1 and kind == LENGTH_DELIMITED:
            tag = part.decode("utf-8", "replace")[:MAX_TEXT]
        elif number == 2 and kind == FIXED32:
            scalar = single(part)
        elif number == 8 and kind == LENGTH_DELIMITED:
            scalar = _scalar(part)
    if tag and scalar is not None:
        found.add(tag, step, scalar)


_FORMATS = {1: "<f", 2: "<d", 3: "<i", 9: "<q"}
"""Number of a type of tensor → how its content is laid out."""
_LISTS = {5: "<f", 6: "<d"}
"""Field of a tensor → how the numbers in it are laid out."""
_INTEGERS = (7, 10)
"""Fields of a tensor with integers in them."""


def _scalar(tensor: bytes) -> float | None:
    """Return the value of a tensor of one element; None for any other."""
    dtype, content, elements = 0, b"", 1
    values: list[float] = []
    for number, kind, part in fields(tensor):
        if number == 1 and isinstance(part, int):
            dtype = part
        elif number == 2 and isinstance(part, bytes):
            elements = _elements(part)
        elif number == 4 and isinstance(part, bytes):
            content = part
        elif number in _LISTS and isinstance(part, bytes):
            size = struct.calcsize(_LISTS[number])
            if len(part) % size:
                raise Malformed("a list of numbers is cut off")
            values += [float(one) for (one,) in struct.iter_unpack(_LISTS[number], part)]
        elif number in _INTEGERS and kind in (VARINT, LENGTH_DELIMITED):
            values += _integers(part) if isinstance(part, bytes) else [float(signed(part))]
    layout = _FORMATS.get(dtype)
    if layout is None or elements != 1:
        return None
    if len(content) == struct.calcsize(layout):
        return float(struct.unpack(layout, content)[0])
    return values[0] if len(values) == 1 else None


def _elements(shape: bytes) -> int:
    """Return the number of elements of a ``TensorShapeProto``."""
    elements = 1
    for number, _, dimension in fields(shape):
        if number == 2 and isinstance(dimension, bytes):
            for inner, _, size in fields(dimension):
                if inner == 1 and isinstance(size, int):
                    elements *= size
    return elements


def _integers(packed: bytes) -> list[float]:
    found: list[float] = []
    at = 0
    while at < len(packed):
        value, at = varint(packed, at)
        found.append(float(signed(value)))
    return found


def _created(path: Path) -> str:
    """Return when a file was begun, from its first event."""
    records, _, _ = _records(read_from(path, 0)[:4096])
    try:
        for number, _, value in fields(records[0][0]) if records else ():
            if number == 1 and isinstance(value, bytes) and len(value) == 8:
                return datetime.fromtimestamp(double(value), UTC).isoformat()
    except (Malformed, OverflowError, ValueError, OSError):
        return ""
    return ""
