"""Blocks: what a watched run appends to its file, and how a reader takes it up again.

The file of a run is a sequence of blocks, and nothing in it is ever rewritten. Each block has a
mark, a length and a checksum, and can be read without any other, so that a torn or damaged block
costs itself and no other. A block is an event (a JSON object) or values of series: a JSON object
that describes them, then for each series n steps (int64) and n rows of K values (float64),
little-endian.

The folder of a run holds beside it ``run.json``, which is written once, and ``watch.log``, which
exists where something went wrong.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optlab.core.lazy import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
"""Of the format; a reader refuses a later one."""
RUN_FILE, BLOCKS_FILE, LOG_FILE = "run.json", "series.blocks", "watch.log"
MAX_BLOCK = 16 << 20
"""Bytes of the largest block."""
_MARK = b"\xf5OLW"
_HEADER = struct.Struct("<4sII")
"""Mark, bytes of the body, CRC-32 of the body."""
_HEAD = struct.Struct("<I")
"""Bytes of the JSON object at the beginning of a body."""

Ranges = tuple[tuple[int, int], ...]
"""Half-open ranges of numbers of tensors, in the order of ``run.json``."""


@dataclass(frozen=True)
class SeriesPart:
    """New values of one series.

    Attributes:
        name: of the series.
        steps: ``[n]`` int64.
        values: ``[n, K]`` float64.
        tensors: whose the K values are, where they belong to tensors of the run; else ().
        labels: names of the K values, where they have other names; else ().
    """

    name: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    tensors: Ranges = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """One block as it was read.

    Attributes:
        event: of an event, its object; else None.
        series: of a block of values, the series.
    """

    event: Mapping[str, Any] | None = None
    series: tuple[SeriesPart, ...] = ()


@dataclass
class Scan:
    """What :func:`scan` has passed.

    Attributes:
        end: bytes up to which everything is read; the next scan begins there.
        skipped: bytes that belong to no sound block.
    """

    end: int = 0
    skipped: int = 0


def encode_event(event: Mapping[str, Any]) -> bytes:
    """Return an event, which JSON can hold, as a block."""
    return _block({"event": event}, b"")


def encode_series(parts: Sequence[SeriesPart]) -> bytes:
    """Return values of series as a block."""
    described, data = [], []
    for part in parts:
        count, width = part.values.shape
        entry: dict[str, Any] = {"name": part.name, "n": count, "k": width}
        if part.tensors:
            entry["tensors"] = part.tensors
        if part.labels:
            entry["labels"] = part.labels
        described.append(entry)
        data.append(np.ascontiguousarray(part.steps, dtype="<i8").tobytes())
        data.append(np.ascontiguousarray(part.values, dtype="<f8").tobytes())
    return _block({"series": described}, b"".join(data))


def _block(head: Mapping[str, Any], data: bytes) -> bytes:
    text = json.dumps(head, separators=(",", ":")).encode()
    body = _HEAD.pack(len(text)) + text + data
    return _HEADER.pack(_MARK, len(body), zlib.crc32(body)) + body


def scan(content: bytes, passed: Scan) -> Iterator[Block]:
    """Yield the blocks of new bytes of a file.

    A block at the end that is not complete yet is left for the next scan. Bytes that are no sound
    block are skipped up to the next one that is.

    Args:
        content: the bytes from ``passed.end`` on.
        passed: is brought up to date after each block.
    """
    start, at = passed.end, 0
    while at < len(content):
        block, size = _decode(content, at)
        if size == 0:
            break  # the rest is not there yet
        if block is None:
            following = content.find(_MARK, at + 1)
            # Half a mark may stand at the end.
            size = (following if following >= 0 else max(at + 1, len(content) - 3)) - at
            passed.skipped += size
        at += size
        passed.end = start + at
        if block is not None:
            yield block


def _decode(content: bytes, at: int) -> tuple[Block | None, int]:
    """Return the block at a place and its bytes: None where it is damaged, 0 where it is not complete."""
    header = content[at : at + _HEADER.size]
    if len(header) < _HEADER.size:
        return None, int(not _MARK.startswith(header[:4]))
    mark, length, checksum = _HEADER.unpack(header)
    if mark != _MARK or not _HEAD.size <= length <= MAX_BLOCK:
        return None, 1
    body = content[at + _HEADER.size : at + _HEADER.size + length]
    if len(body) < length:
        # What a killed writer left behind is followed by the blocks of nobody; what a full disk
        # has cut off, by later blocks.
        return None, int(_sound_block_follows(content, at + 1))
    if zlib.crc32(body) != checksum:
        return None, 1
    block = _parse(body)
    return block, 1 if block is None else _HEADER.size + length


def _sound_block_follows(content: bytes, at: int) -> bool:
    while (at := content.find(_MARK, at)) >= 0:
        header = content[at : at + _HEADER.size]
        if len(header) == _HEADER.size:
            _, length, checksum = _HEADER.unpack(header)
            body = content[at + _HEADER.size : at + _HEADER.size + length]
            if len(body) == length and zlib.crc32(body) == checksum:
                return True
        at += 1
    return False


def _parse(body: bytes) -> Block | None:
    """Return the block of a body, or None where it does not say what a block says."""
    (length,) = _HEAD.unpack_from(body)
    data = memoryview(body)[_HEAD.size + length :]
    try:
        head = json.loads(body[_HEAD.size : _HEAD.size + length])
    except (ValueError, RecursionError):
        return None
    if not isinstance(head, dict):
        return None
    event = head.get("event")
    if isinstance(event, dict):
        return Block(event=event)
    parts: list[SeriesPart] = []
    place = 0
    described = head.get("series")
    for entry in described if isinstance(described, list) else ():
        part = _part(entry, data[place:])
        if part is None:
            return None
        place += part.steps.nbytes + part.values.nbytes
        parts.append(part)
    return Block(series=tuple(parts)) if parts and place == len(data) else None


def _part(entry: Any, data: memoryview) -> SeriesPart | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return None
    count, width = _count(entry.get("n")), _count(entry.get("k"))
    if not count or not width or 8 * count * (1 + width) > len(data):
        return None
    steps = np.frombuffer(data, "<i8", count)
    values = np.frombuffer(data, "<f8", count * width, offset=8 * count).reshape(count, width)
    labels = entry.get("labels", [])
    tensors = entry.get("tensors", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        return None
    if not isinstance(tensors, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(map(_is_place, pair)) for pair in tensors
    ):
        return None
    ranges = tuple((int(first), int(stop)) for first, stop in tensors)
    return SeriesPart(entry["name"], steps, values, ranges, tuple(labels))


def _count(value: object) -> int:
    return value if isinstance(value, int) and _is_place(value) else 0


def _is_place(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_BLOCK
