"""Atomic writing of files: a reader sees the old content or the new, never a part."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optlab.core.errors import StoreError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` to write to.

    On exit the temporary file replaces ``path`` atomically; after an error it is removed.

    Raises:
        StoreError: the file cannot be written; the previous content is unchanged.
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
            # mkstemp makes files private; give this one the permissions of any new file.
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}; "
            "choose another folder or free some space."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically.

    Raises:
        StoreError: the file cannot be written; the previous content is unchanged.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)
