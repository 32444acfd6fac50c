"""Checks of the path of an exported file, so that no file is overwritten by accident."""

from __future__ import annotations

from pathlib import Path

from optlab.core.errors import InvalidInput


def check_target(path: Path, *, force: bool, folder: bool = False) -> None:
    """Make sure that a file can be written at ``path``, before the work begins.

    Args:
        path: of the file.
        force: whether an existing file is replaced, or what a folder has.
        folder: whether a folder is written; one that is empty may be there.

    Raises:
        InvalidInput: it is a folder, its folder does not exist, or the file exists and ``force`` is
            false.
    """
    if folder and path.is_dir():
        if any(path.iterdir()) and not force:
            raise InvalidInput(
                f"{path} has files in it; choose a new folder, or write into it with --force.", "to"
            )
        return
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; give the name of a file in it.", "to")
    if not path.parent.is_dir():
        raise InvalidInput(
            f"The folder {path.parent} does not exist; create it or choose another.", "to"
        )
    if path.exists() and not force:
        raise InvalidInput(
            f"{path} already exists; choose another name, or replace it with --force.", "to"
        )
