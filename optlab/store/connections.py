"""Connections of this process to a database file, and why the file is not read beside them.

SQLite holds POSIX locks on a file as long as a connection to it is open. The system drops all locks
that a process has on a file when the process closes *any* descriptor of it. Another process then
takes its own connection for the last one, and removes the write-ahead log that is still in use: what
is written afterwards is lost, or the file is damaged. So a file may be opened by other means than
SQLite only while this process has no connection to it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_opening = threading.RLock()
"""Reentrant, because the collector may close a connection while one is being opened."""
_open: dict[tuple[int, int], int] = {}
"""Device and inode → connections that are open; those of one file share its locks."""


class TrackedConnection(sqlite3.Connection):
    """A connection that counts as open until it is closed or collected."""

    _key: tuple[int, int] | None = None

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        super().close()
        self._forget()

    def __del__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        with _opening:
            key, self._key = self._key, None
            if key is not None:
                _open[key] -= 1


def connect(
    path: Path, database: Path | str, check: Callable[[], None], **options: Any
) -> sqlite3.Connection:
    """Check a file by other means than SQLite, if that is possible, and connect to it.

    Args:
        path: of the file. database, options: for :func:`sqlite3.connect`.
        check: what reads the file; left out where this process has a connection to it, which found
            it sound when it was opened.
    """
    with _opening:
        key = _identity(path)
        if key is None or not _open.get(key):
            check()
        connection = sqlite3.connect(database, factory=TrackedConnection, **options)
        try:
            # SQLite opens the file when it is first asked for something, and locks it then.
            connection.execute("PRAGMA user_version").fetchone()
        except BaseException:
            connection.close()
            raise
        key = _identity(path)
        if key is not None:
            _open[key] = _open.get(key, 0) + 1
            connection._key = key
        return connection


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
