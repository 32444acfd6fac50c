"""What identifies the content of a file: its size and its SHA-256."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from optlab.core.reading import open_regular


@dataclass(frozen=True)
class FileIdentity:
    """The content of a file. ``bytes``: its size; ``sha256``: in hexadecimal."""

    bytes: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.bytes:,} bytes, SHA-256 {self.sha256[:12]}…"


def identify(path: Path) -> FileIdentity:
    """Return the identity of a file, which is read piece by piece.

    Raises:
        OSError: it cannot be read; see :func:`optlab.core.reading.open_regular`.
        ValueError: it cannot be a path.
    """
    with open_regular(path) as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileIdentity(file.tell(), digest.hexdigest())
