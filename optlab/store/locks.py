"""The locks of runs: while a run is in progress, its process holds a lock on a file.

The operating system releases the lock when the process dies, however it dies, so a run whose status
is "running" while its lock is free was interrupted. A process id in the database would be wrong once
the id is reused. The names of lock files are never reused, so one can be removed after use without a
race.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from optlab.store.names import is_owner

FOLDER = "locks"


class RunLock:
    """A lock that is held from construction to :meth:`release`, or to the end of the process.

    Args:
        home: the OptLab folder.

    Raises:
        OSError: the file cannot be created.

    Attributes:
        name: of the lock, for the column ``owner`` of the database.
    """

    def __init__(self, home: Path) -> None:
        # Where no run is in progress, a list of runs needs no locks.
        from filelock import FileLock

        self.name = secrets.token_hex(8)
        self._path = _path(home, self.name)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Not thread-local: it is acquired where a run begins and released in the thread that
        # executes the run.
        self._lock = FileLock(self._path, thread_local=False)
        self._lock.acquire(blocking=False)

    def release(self) -> None:
        """Release the lock. Safe to call twice."""
        if self._lock.is_locked:
            self._lock.release()
            self._path.unlink(missing_ok=True)


def is_held(home: Path, name: str) -> bool:
    """Return whether a process holds the lock of this name."""
    if not is_owner(name):
        return False
    path = _path(home, name)
    if not path.exists():
        return False
    from filelock import FileLock, Timeout

    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    except OSError:
        # Another user's file, or a read-only disk: nothing indicates that the process is dead.
        return True
    lock.release()
    return False


def remove(home: Path, name: str) -> None:
    """Remove the file of a process that died."""
    if is_owner(name):
        _path(home, name).unlink(missing_ok=True)


def _path(home: Path, name: str) -> Path:
    return home / FOLDER / f"{name}.lock"
