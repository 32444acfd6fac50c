"""Opening files for reading, without trust in what a path names.

A path of the user's may name a pipe, on which opening never ends, a device without an end, or a
file of the kernel's, whose size is unknown and whose content may come at any time. Only files with
a size and an end are opened; everything that reads a path of the user's opens it here.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_KERNEL = ("/proc", "/sys")
"""Where the kernel shows itself as files: they say that they are regular, and are not."""


class NotAFile(OSError):
    """A path names something else than a file that can be read from beginning to end.

    ``strerror`` says what it names and what to do, as the end of the sentence "… cannot be read:".
    """

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(
            errno.EINVAL, f"it is {kind}, not a regular file; give the path of a file", str(path)
        )


def open_regular(path: Path) -> BufferedReader:
    """Return a regular file, opened for reading in binary mode.

    Anything else is refused before it is opened, and never waited for.

    Raises:
        NotAFile: the path names a folder, a pipe, a socket, a device, or a file of the kernel's.
        OSError: it cannot be opened.
        ValueError: it cannot be a path (it has a zero byte in it).
    """
    _refuse_special(path, path.stat())
    # What the path names may have changed since: opening must not wait, and is looked at again.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    try:
        _refuse_special(path, os.fstat(handle))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_at_most(path: Path, most: int) -> bytes | None:
    """Return the content of a regular file, or None if it has more than ``most`` bytes.

    Raises:
        OSError: as :func:`open_regular`.
        ValueError: as :func:`open_regular`.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    return None if len(content) > most else content


def _refuse_special(path: Path, state: os.stat_result) -> None:
    for holds, kind in _KINDS:
        if holds(state.st_mode):
            raise NotAFile(path, kind)
    if not stat.S_ISREG(state.st_mode):
        raise NotAFile(path, "something special")
    if os.name == "posix" and _is_of_the_kernel(path, state):
        raise NotAFile(path, "a file of the system's kernel")


def _is_of_the_kernel(path: Path, state: os.stat_result) -> bool:
    place = Path(os.path.realpath(path))
    if any(place.is_relative_to(folder) for folder in _KERNEL):
        return True
    # Where one is not mounted, as in some containers, it lies on the device of ordinary files.
    return any(
        os.path.ismount(folder) and os.stat(folder).st_dev == state.st_dev for folder in _KERNEL
    )
