"""The write-ahead log of a database file, read without SQLite.

SQLite takes the log up to the first frame that does not match its checksum, and silently drops all
after it. That is right for what a kill leaves of a transaction, but otherwise something has damaged
the file, and what was committed would be lost unsaid.

Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from optlab.core.lazy import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


PAGE_SIZE = 4096
"""Bytes of a page in every file that SQLite creates by default."""
_ORDERS = {0x377F0682: "<u4", 0x377F0683: ">u4"}
"""First number of a log → order of the bytes in the words that checksums cover."""
_HEADER = 32
_FRAME = 24
_PAUSES = (0.02, 0.1)
"""Seconds before the second and the third reading of a log that seems to be damaged."""
_PREFIX = 8
"""Bytes of a frame's header that its checksum covers, beside the page."""


@dataclass(frozen=True)
class Journal:
    """The frames of a log.

    Attributes:
        pages: page number → its newest sound content that was committed.
        size: number of pages of the database after the last commit; 0 if there is none.
        damaged: whether frames are damaged that sound ones follow, or the last one of a commit.
    """

    pages: dict[int, bytes]
    size: int
    damaged: bool


def path_of(database: Path) -> Path:
    """Return the path of a database's log."""
    return database.with_name(f"{database.name}-wal")


def is_page_size(number: int) -> bool:
    """Return whether pages can have this size."""
    return 512 <= number <= 65536 and number & (number - 1) == 0


def is_damaged(database: Path) -> bool:
    """Return whether frames of the log are damaged; see :class:`Journal`.

    Raises:
        OSError: it cannot be read.
    """
    path = path_of(database)
    for pause in (0.0, *_PAUSES):
        # Another process may be writing: what it has written partly is whole when read again.
        time.sleep(pause)
        if not path.exists() or path.stat().st_size <= _HEADER:
            return False
        if not read(path.read_bytes()).damaged:
            return False
    return True


def read(data: bytes, fallback: int = PAGE_SIZE) -> Journal:
    """Return what a log holds.

    Args:
        data: of the file.
        fallback: size of the pages in bytes where the header of the log is damaged.
    """
    size, header_sum, header_sound = _header(data, fallback)
    count = max(0, (len(data) - _HEADER) // (_FRAME + size))
    if not count:
        return Journal({}, 0, damaged=False)
    frames = np.frombuffer(data, np.uint8, count * (_FRAME + size), _HEADER).reshape(count, -1)
    fields = frames[:, :_FRAME].copy().view(">u4").astype(np.uint32)
    stored = fields[:, 4:6]
    before = np.vstack([header_sum, stored[:-1]])
    orders = _ORDERS.values() if not header_sound else (_ORDERS[_word(data, 0)],)
    sound = max(
        ((_sums(frames, before, order) == stored).all(axis=1) for order in orders), key=np.sum
    )
    # Frames with other salts are left from an earlier log.
    salts = np.frombuffer(data, ">u4", 2, 16) if header_sound else fields[0, 2:4]
    current = (fields[:, 2:4] == salts).all(axis=1)
    if not (current & (sound | header_sound)).any():
        return Journal({}, 0, damaged=False)
    count = int(np.flatnonzero(current)[-1]) + 1
    sound = (sound & current)[:count]
    taken = 0
    if header_sound:
        taken = count if sound.all() else int(np.argmin(sound))
    rest = sound[taken:] | (fields[taken:count, 1] > 0)
    return Journal(*_committed(frames, fields, sound), damaged=bool(rest.any()))


def _header(data: bytes, fallback: int) -> tuple[int, NDArray[np.uint32], bool]:
    """Return the size of pages, the checksum of the header, and whether that is sound."""
    order = _ORDERS.get(_word(data, 0))
    stored = np.array([_word(data, 24), _word(data, 28)], np.uint32)
    if order is None or len(data) < _HEADER:
        return fallback, stored, False
    weights, _ = _weights(6)
    with np.errstate(over="ignore"):
        words = np.frombuffer(data, order, 6).astype(np.uint32)
        sound = bool(((weights * words).sum(axis=1, dtype=np.uint32) == stored).all())
    return _word(data, 8) if sound else fallback, stored, sound


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _committed(
    frames: NDArray[np.uint8], fields: NDArray[np.uint32], sound: NDArray[np.bool_]
) -> tuple[dict[int, bytes], int]:
    commits = np.flatnonzero(sound & (fields[: len(sound), 1] > 0))
    if not len(commits):
        return {}, 0
    pages = {
        int(fields[at, 0]): frames[at, _FRAME:].tobytes()
        for at in range(int(commits[-1]) + 1)
        if sound[at]
    }
    return pages, int(fields[commits[-1], 1])


def _sums(frames: NDArray[np.uint8], before: NDArray[np.uint32], order: str) -> NDArray[np.uint32]:
    """Return the checksum ``[n, 2]`` of each frame ``[n, 24 + page]``, given the one before it."""
    covered = np.concatenate([frames[:, :_PREFIX], frames[:, _FRAME:]], axis=1)
    words = covered.view(order).astype(np.uint32, copy=False)
    weights, start = _weights(words.shape[1])
    with np.errstate(over="ignore"):
        sums = [(words * row).sum(axis=1, dtype=np.uint32) for row in weights]
        total: NDArray[np.uint32] = np.stack(sums, axis=1) + before @ start.T
    return total


@lru_cache(maxsize=4)
def _weights(count: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return the weight of each of ``count`` words in both sums, and that of the sums before.

    The sums obey s0 += x0 + s1; s1 += x1 + s0 for each pair of words (x0, x1), modulo 2**32, which
    is linear.
    """
    columns: list[list[int]] = []
    power = [[1, 0], [0, 1]]
    for _ in range(count // 2):
        (a, b), (c, d) = power
        columns += [[b, d], [a + b, c + d]]
        power = [[(a + b) % 2**32, (a + 2 * b) % 2**32], [(c + d) % 2**32, (c + 2 * d) % 2**32]]
    weights = np.array(columns[::-1], dtype=np.uint64).T % 2**32
    return weights.astype(np.uint32), np.array(power, dtype=np.uint32)
