"""Who owns a run: the holder of an operating-system lock on a file.

The system lets go of the lock when its holder dies, however it dies, so a run that says it is
running while its lock can be taken was interrupted. A process number in the database would lie once
the number is used again. Lock files have names that are never used twice, so one may be removed
after use without a race.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from filelock import FileLock, Timeout

from optlab.store.names import is_owner

FOLDER = "locks"


class RunLock:
    """A lock that is held from construction to :meth:`release`, or to the end of the process.

    Args:
        home: the OptLab folder.

    Raises:
        OSError: the file cannot be created.

    Attributes:
        name: the owner's name, for the database.
    """

    def __init__(self, home: Path) -> None:
        self.name = secrets.token_hex(8)
        self._path = _path(home, self.name)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Not thread-local: it is taken where a run is begun and released in the thread that owns
        # the run.
        self._lock = FileLock(self._path, thread_local=False)
        self._lock.acquire(blocking=False)

    def release(self) -> None:
        """Let go. Safe to call twice."""
        if self._lock.is_locked:
            self._lock.release()
            self._path.unlink(missing_ok=True)


def is_held(home: Path, name: str) -> bool:
    """Whether the owner of this name lives; nobody has a name that OptLab does not give."""
    if not is_owner(name):
        return False
    path = _path(home, name)
    if not path.exists():
        return False
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    except OSError:
        # Another user's file, or a disk that may only be read: nothing says that the owner is dead.
        return True
    lock.release()
    return False


def remove(home: Path, name: str) -> None:
    """Remove the file that a dead owner left."""
    if is_owner(name):
        _path(home, name).unlink(missing_ok=True)


def _path(home: Path, name: str) -> Path:
    return home / FOLDER / f"{name}.lock"
