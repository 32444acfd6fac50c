"""The scenes: those that ship with OptLab, and those in the folder ``scenes`` of the user's data.

Lists and menus show all of them before one is picked, so here a file is read without building what
it names. A scene of the user's takes the place of a shipped one of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optlab.core import paths
from optlab.core.errors import InvalidInput
from optlab.tasks.scenes.tables import tables_of, text_of

_LAST = 1_000_000
"""Rank of a scene that has none."""


@dataclass(frozen=True)
class ListedScene:
    """A scene as lists show it.

    Attributes:
        name: of the file. path: of the file. title, text, figure: as in
            :class:`~optlab.tasks.scenes.scene.Scene`. order: its rank among the scenes. problem:
            why the file cannot be read, or "".
    """

    name: str
    path: Path
    title: str
    text: str = ""
    figure: str = ""
    order: int = _LAST
    problem: str = ""


def files() -> dict[str, Path]:
    """Return name → file of all scenes."""
    folders = (paths.scenes(), paths.home() / "scenes")
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}


def scenes() -> list[ListedScene]:
    """Return all scenes in the order in which they are shown."""
    listed = [read(path) for path in files().values()]
    return sorted(listed, key=lambda scene: (scene.order, scene.name))


def read(path: Path) -> ListedScene:
    """Return the scene in a file, without validation of what it sets going."""
    try:
        tables = tables_of(path)
        order = tables.get("order", _LAST)
        return ListedScene(
            path.stem,
            path,
            text_of(tables, "title") or path.stem,
            text_of(tables, "text"),
            text_of(tables, "figure"),
            order if isinstance(order, int) else _LAST,
        )
    except InvalidInput as error:
        return ListedScene(path.stem, path, path.stem, problem=str(error))


def content_kind(tables: dict[str, Any]) -> str:
    """Return what a scene sets going: ``run``, ``race``, ``demonstration`` or ``picture``.

    Raises:
        InvalidInput: it is none of them, or several.
    """
    kinds = ("run", "race", "demonstration", "picture")
    found = [kind for kind in kinds if kind in tables]
    if len(found) != 1:
        has = f"has {' and '.join(found)}" if found else "has none"
        raise InvalidInput(
            f"A scene sets one thing going, but this one {has}; give it one of the sections run, "
            "race or demonstration, or a picture.",
            found[-1] if found else "run",
        )
    return found[0]
