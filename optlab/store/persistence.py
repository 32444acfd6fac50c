"""Persistence: a write that fails is repeated, and where the disk has no room the writer waits
until there is some.

Every write of the store is all or nothing, so it can be repeated as a whole.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

PAUSES = (0.02, 0.1, 0.4)
"""Seconds before the second, third and fourth attempt; after the last one a fault counts as
permanent.
"""
ROOM_SECONDS = 0.25
"""Seconds between two attempts while the disk is full."""
LITTLE_ROOM = 256 << 10
"""Free bytes below which an input/output error is taken for a full disk: SQLite does not name the
cause of every failure.
"""

_FULL = {errno.ENOSPC, errno.EDQUOT}

Result = TypeVar("Result")


class Watcher(Protocol):
    """Someone who learns that the writer waits for room, and decides for how long."""

    def held(self, words: str) -> None:
        """Recording waits; ``words`` say for what."""

    def went_on(self) -> None:
        """Recording goes on; nothing is missing."""

    def wait(self, seconds: float) -> bool:
        """Wait so long; False when waiting is to end and the write to fail."""


class Persistence:
    """Repeats writes.

    Args:
        place: folder that is written to.

    Attributes:
        watcher: waits for room on a full disk. Without one a full disk is an error like any other.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self.watcher: Watcher | None = None

    def __call__(self, write: Callable[[], Result]) -> Result:
        """Return what ``write`` returns, which is called again after an error of the system.

        Raises:
            sqlite3.OperationalError, OSError: of the last attempt.
        """
        failures, held = 0, False
        while True:
            try:
                result = write()
            except (sqlite3.OperationalError, OSError) as error:
                if self.watcher is not None and is_full(error, self._place):
                    if not held:
                        held = True
                        self.watcher.held(
                            f"The disk of {self._place} is full: the run waits, and goes on by itself once there is room."
                        )
                    if not self.watcher.wait(ROOM_SECONDS):
                        raise
                    continue
                if failures == len(PAUSES):
                    raise
                time.sleep(PAUSES[failures])
                failures += 1
            else:
                if held and self.watcher is not None:
                    self.watcher.went_on()
                return result


def is_full(error: sqlite3.Error | OSError, place: Path) -> bool:
    """Return whether the error comes from a disk without room."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    # The low byte is the kind of error, the rest says which of its kind.
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if kind == sqlite3.SQLITE_FULL:
        return True
    return kind in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _without_room(place)


def _without_room(place: Path) -> bool:
    try:
        if hasattr(os, "statvfs"):
            disk = os.statvfs(place)
            # Some file systems count no files and say 0 of 0.
            return disk.f_bavail * disk.f_frsize < LITTLE_ROOM or (
                disk.f_files > 0 and disk.f_favail == 0
            )
        return shutil.disk_usage(place).free < LITTLE_ROOM
    except OSError:
        # The disk cannot be asked, so nothing says that it is full.
        return False
