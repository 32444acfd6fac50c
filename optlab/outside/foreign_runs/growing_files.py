"""Files to which their program only appends: what has come since the last reading."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

from optlab.core.errors import InvalidInput
from optlab.core.reading import open_regular
from optlab.outside.foreign_runs.records import Place

MAX_PIECE = 256 << 20
"""Bytes of a file that are read at once; the next reading goes on."""
GIVEN_UP = 1 << 62
"""Offset of a file that is damaged, and whose rest cannot be read."""


def read_from(path: Path, offset: int) -> bytes:
    """Return the content of a file from an offset on; b"" where there is nothing.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        with open_regular(path) as file:
            file.seek(offset)
            return file.read(MAX_PIECE)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidInput(f"{path} cannot be read: {reason}; the run is left out.") from error


def size_of(path: Path) -> int:
    """Return the size of a file in bytes; 0 where it is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def key(name: str) -> int:
    """Return a number that stands for a name in a place."""
    return zlib.crc32(name.encode("utf-8", "surrogateescape"))


def offsets(place: Place) -> dict[int, int]:
    """Return key of a file → offset, of a place in several files; see :func:`place_of`."""
    return dict(zip(place[::2], place[1::2], strict=True))


def place_of(offsets: dict[int, int]) -> Place:
    """Return a place in several files, by the :func:`key` of each."""
    return tuple(value for pair in sorted(offsets.items()) for value in pair)


def newest(paths: Iterable[Path]) -> float:
    """Return when one of some files was written last, in seconds since 1970; 0 without any."""
    times = [0.0]
    for path in paths:
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(times)
