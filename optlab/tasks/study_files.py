"""The study files of the user: the folder of those that the window writes, and the recent ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from optlab.core import files, paths
from optlab.core.errors import StoreError
from optlab.tasks.task import Task
from optlab.training.control import Controls

MAX_RECENT = 12
"""Files that are remembered."""
_RECENT = "recent.json"


def folder() -> Path:
    """Return the folder of the user's studies, without creating it."""
    return paths.home() / "studies"


def writable_folder() -> Path:
    """Return the folder of the user's studies, created if it does not exist.

    Raises:
        StoreError: it cannot be created.
    """
    found = paths.writable_home() / folder().name
    try:
        found.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"{found} cannot be created ({error.strerror}).") from error
    return found


def free_path(question: str) -> Path:
    """Return the path of a file in the folder that does not exist, named by a question.

    Raises:
        StoreError: the folder cannot be created.
    """
    words = re.findall(r"[a-z0-9]+", question.lower())
    stem = "-".join(words)[:60].strip("-") or "study"
    place = writable_folder()
    number = 1
    while (path := place / f"{stem}{f'-{number}' if number > 1 else ''}.toml").exists():
        number += 1
    return path


def write(path: Path, document: str) -> None:
    """Write a study file, completely or not at all, and remember it.

    Raises:
        StoreError: it cannot be written.
    """
    files.write_atomically(path, document.encode("utf-8"))
    remember(path)


def known() -> list[Path]:
    """Return the recent files that still exist, the newest first, then the others of the folder."""
    recent = [path for path in _recent() if path.is_file()]
    own = sorted(folder().glob("*.toml")) if folder().is_dir() else []
    return list(dict.fromkeys([*recent, *own]))


def remember(path: Path) -> None:
    """Put a file at the head of the recent ones.

    Raises:
        StoreError: the folder cannot be created or written to.
    """
    place = path.resolve()
    kept = [place, *(one for one in _recent() if one != place)][:MAX_RECENT]
    text = json.dumps([str(one) for one in kept])
    files.write_atomically(writable_folder() / _RECENT, text.encode("utf-8"))


def _recent() -> list[Path]:
    """Return the recent files; a list that cannot be read is as one that does not exist."""
    try:
        found = json.loads((folder() / _RECENT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [Path(one) for one in found if isinstance(one, str)] if isinstance(found, list) else []


@dataclass(frozen=True)
class WriteStudyTask(Task):
    """Write a study file and remember it; the result is its path.

    Attributes:
        document: its text. question: names the file where there is no ``path``, in the user's
            folder.
    """

    document: str
    question: str
    path: Path | None = None

    def run(self, controls: Controls) -> Iterator[Path]:
        """Write it; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            StoreError: it cannot be written.
        """
        path = self.path or free_path(self.question)
        write(path, self.document)
        yield path.resolve()
