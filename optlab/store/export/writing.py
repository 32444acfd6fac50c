"""Where an exported file may go: never over another one by accident."""

from __future__ import annotations

from pathlib import Path

from optlab.core.errors import InvalidInput


def check_target(path: Path, *, force: bool) -> None:
    """Whether a file may be written at ``path``; asked before the work begins.

    Raises:
        InvalidInput: it is a folder, its folder does not exist, or there is a file already and
            ``force`` is not given.
    """
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; give the name of a file in it.", "to")
    if not path.parent.is_dir():
        raise InvalidInput(
            f"The folder {path.parent} does not exist; create it or choose another.", "to"
        )
    if path.exists() and not force:
        raise InvalidInput(
            f"{path} exists already; choose another name, or replace it with --force.", "to"
        )
