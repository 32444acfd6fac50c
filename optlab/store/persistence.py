"""Persistence: a failed write is retried, and while the disk is full the writer waits for space.

Every write of the store is one transaction, so it can be repeated as a whole.
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
"""Seconds before the second, third and fourth attempt; then an error counts as permanent."""
FULL_DISK_SECONDS = 0.25
"""Seconds between two attempts while the disk is full."""
LOW_DISK_BYTES = 256 << 10
"""Free bytes below which an input/output error counts as a full disk: SQLite does not report the
cause of every failure.
"""

_FULL = {errno.ENOSPC, errno.EDQUOT}

Result = TypeVar("Result")


class Watcher(Protocol):
    """Is notified that the writer waits for space, and decides for how long."""

    def held(self, message: str) -> None:
        """Recording waits, for the reason in ``message``."""

    def resumed(self) -> None:
        """Recording continues; nothing is missing."""

    def wait(self, seconds: float) -> bool:
        """Wait, and return False when the write should fail instead of being retried."""


class Persistence:
    """Repeats writes.

    Args:
        folder: that is written to.

    Attributes:
        watcher: waits while the disk is full. Without one a full disk is an error like any other.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.watcher: Watcher | None = None

    def __call__(self, write: Callable[[], Result]) -> Result:
        """Call ``write``, again after an error of the system, and return its result.

        Raises:
            sqlite3.OperationalError, OSError: of the last attempt.
        """
        failures, held = 0, False
        while True:
            try:
                result = write()
            except (sqlite3.OperationalError, OSError) as error:
                if self.watcher is not None and is_full(error, self._folder):
                    if not held:
                        held = True
                        self.watcher.held(
                            f"The disk of {self._folder} is full: the run waits, and continues "
                            "automatically once there is space."
                        )
                    if not self.watcher.wait(FULL_DISK_SECONDS):
                        raise
                    continue
                if failures == len(PAUSES):
                    raise
                time.sleep(PAUSES[failures])
                failures += 1
            else:
                if held and self.watcher is not None:
                    self.watcher.resumed()
                return result


def is_full(error: sqlite3.Error | OSError, folder: Path) -> bool:
    """Return whether the error comes from a full disk."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    # The low byte is the primary error code, the rest refines it.
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if kind == sqlite3.SQLITE_FULL:
        return True
    return kind in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _is_nearly_full(folder)


def _is_nearly_full(folder: Path) -> bool:
    try:
        if hasattr(os, "statvfs"):
            disk = os.statvfs(folder)
            # Some file systems count no files and say 0 of 0.
            return disk.f_bavail * disk.f_frsize < LOW_DISK_BYTES or (
                disk.f_files > 0 and disk.f_favail == 0
            )
        return shutil.disk_usage(folder).free < LOW_DISK_BYTES
    except OSError:
        # The disk cannot be queried, so nothing indicates that it is full.
        return False
