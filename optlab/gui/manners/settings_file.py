"""Small JSON files of the window in the data folder: preferences and session.

They are read before the first paint, so this module imports nothing large.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from optlab.core import paths
from optlab.core.errors import StoreError
from optlab.core.files import write_atomically

LARGEST = 2_000_000
"""Bytes of such a file; a larger one is not OptLab's."""


def read(name: str) -> tuple[dict[str, Any], str]:
    """Return the content of a file of the data folder, and why it was ignored, or "".

    A file that is missing is empty.
    """
    path = paths.home() / name
    try:
        if not path.exists():
            return {}, ""
        if not path.is_file() or path.stat().st_size > LARGEST:
            return {}, _ignored(path, "it is not an OptLab file")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return {}, _ignored(path, str(error.strerror))
    except (ValueError, RecursionError):
        return {}, _ignored(path, "it is damaged")
    if not isinstance(content, dict):
        return {}, _ignored(path, "it is damaged")
    return content, ""


def write(name: str, content: dict[str, Any]) -> str:
    """Write a file of the data folder, and return why that failed, or ""."""
    path: Path = paths.home() / name
    try:
        paths.writable_home()
        write_atomically(path, json.dumps(content, indent=1, allow_nan=False).encode())
    except StoreError as error:
        return str(error)
    return ""


def _ignored(path: Path, why: str) -> str:
    return f"{path} was ignored, because {why}; it is rewritten when the window closes."
