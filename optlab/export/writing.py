"""Putting an exported file in its place: whole or not at all, and never over another one by accident."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optlab.errors import InvalidInput, StoreError


def check_target(path: Path, *, force: bool) -> None:
    """Whether a file may be written at ``path``; asked before the work begins.

    Raises:
        InvalidInput: it is a folder, its folder does not exist, or there is a file already and ``force`` is not given.
    """
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; give the name of a file in it.", "to")
    if not path.parent.is_dir():
        raise InvalidInput(f"The folder {path.parent} does not exist; create it or choose another.", "to")
    if path.exists() and not force:
        raise InvalidInput(f"{path} exists already; choose another name, or replace it with --force.", "to")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; at the end it takes the place of ``path`` in one act, after an error it is gone.

    Raises:
        StoreError: the file cannot be written; what was there before is untouched.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if os.name == "posix":
            # mkstemp makes files private; an export gets the rights that any new file gets.
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}; choose another place or free some space.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
