"""Layouts of the board as readable files: which tiles, in which rows and columns.

A file has a ``title``, a ``text`` and ``rows``. A row has a ``height`` and ``columns``, a column a
``width`` and ``tiles``, of which more than one are stacked as tabs; heights and widths are shares.
Without rows, a layout shows the tiles that are shown at first. ``series`` describes tiles whose
series the user picked. What the user arranged by hand is kept as ``arrangement``, Qt's own form,
beside the rows that are used where it cannot be restored.
"""

from __future__ import annotations

import base64
import binascii
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from optlab.core import paths
from optlab.core.errors import InvalidInput, StoreError
from optlab.core.files import write_atomically

SHIPPED = ("training", "curvature", "compare", "lecture")
"""Names of the layouts that ship, in their order."""


@dataclass(frozen=True)
class Column:
    """Tiles that are stacked as tabs, the first in front, and the share of the width."""

    tiles: tuple[str, ...]
    width: float = 1.0


@dataclass(frozen=True)
class Row:
    """Columns side by side, and the share of the height."""

    columns: tuple[Column, ...]
    height: float = 1.0


@dataclass(frozen=True)
class SeriesTile:
    """A tile of series that the user picked.

    Attributes:
        key: name of the tile. names: of the series. log: whether the y axis is logarithmic.
    """

    key: str
    names: tuple[str, ...] = ()
    log: bool = False


@dataclass(frozen=True)
class BoardLayout:
    """Which tiles the board shows, and where.

    Attributes:
        title: its name for people. text: what it is for. rows: from the top; empty for the tiles
            that are shown at first. series: tiles of picked series. arrangement: what Qt needs to
            restore what was arranged by hand, or empty.
    """

    title: str
    text: str = ""
    rows: tuple[Row, ...] = ()
    series: tuple[SeriesTile, ...] = ()
    arrangement: bytes = field(default=b"", repr=False)

    @property
    def tiles(self) -> tuple[str, ...]:
        """Keys of its tiles, row by row."""
        return tuple(tile for row in self.rows for column in row.columns for tile in column.tiles)

    def to_dict(self) -> dict[str, Any]:
        """Return the tables of its file."""
        tables: dict[str, Any] = {"title": self.title}
        if self.text:
            tables["text"] = self.text
        tables["rows"] = [
            {
                "height": row.height,
                "columns": [
                    {"width": column.width, "tiles": list(column.tiles)} for column in row.columns
                ],
            }
            for row in self.rows
        ]
        if self.series:
            tables["series"] = [
                {"tile": tile.key, "names": list(tile.names), "log": tile.log}
                for tile in self.series
            ]
        if self.arrangement:
            tables["arrangement"] = base64.b64encode(self.arrangement).decode("ascii")
        return tables

    @classmethod
    def from_dict(cls, tables: Mapping[str, Any], source: str) -> BoardLayout:
        """Return the layout that tables describe.

        Args:
            tables: of a file. source: its name, for errors.

        Raises:
            InvalidInput: something in the tables is not what a layout has.
        """
        try:
            return cls(
                _text(tables["title"]),
                _text(tables.get("text", "")),
                tuple(
                    Row(
                        tuple(
                            Column(
                                tuple(_text(tile) for tile in _full(column["tiles"])),
                                _share(column.get("width", 1.0)),
                            )
                            for column in _full(row["columns"])
                        ),
                        _share(row.get("height", 1.0)),
                    )
                    for row in _listed(tables.get("rows", []))
                ),
                tuple(
                    SeriesTile(
                        _text(tile["tile"]),
                        tuple(_text(name) for name in _listed(tile["names"])),
                        tile.get("log", False) is True,
                    )
                    for tile in _listed(tables.get("series", []))
                ),
                base64.b64decode(_text(tables.get("arrangement", "")), validate=True),
            )
        except KeyError as error:
            raise InvalidInput(f"The layout {source} lacks {error.args[0]!r}.") from error
        except (TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise InvalidInput(
                f"The layout {source} cannot be read ({error}). See the files in "
                "resources/layouts for what a layout has."
            ) from error


def load(path: Path) -> BoardLayout:
    """Return the layout of a file.

    Raises:
        InvalidInput: the file cannot be read, or is no layout.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"The layout {path} cannot be read: {error}.") from error
    return BoardLayout.from_dict(tables, str(path))


def save(path: Path, layout: BoardLayout) -> None:
    """Write a layout to a file, whose folder is made if it is missing.

    Raises:
        StoreError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent} cannot be made: {error}.") from error
    write_atomically(path, tomli_w.dumps(layout.to_dict()).encode("utf-8"))


def shipped_folder() -> Path:
    """Return the folder of the layouts that ship."""
    return paths.resources() / "layouts"


def own_folder() -> Path:
    """Return the folder of the user's layouts."""
    return paths.home() / "layouts"


def own_names() -> list[str]:
    """Return the names of the user's layouts, sorted."""
    folder = own_folder()
    return sorted(path.stem for path in folder.glob("*.toml")) if folder.is_dir() else []


def own_path(title: str) -> Path:
    """Return the file of a layout of the user's, by its title.

    Raises:
        InvalidInput: the title has no letter or digit.
    """
    stem = re.sub(r"[^\w]+", "-", title[:80]).strip("-").lower()
    if not stem:
        raise InvalidInput("A layout needs a name with a letter or a digit.")
    return own_folder() / f"{stem}.toml"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        raise ValueError(f"{value!r} is no share: a number above 0")
    return float(value)


def _listed(value: object) -> Iterable[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _full(value: object) -> Iterable[Any]:
    if not _listed(value):
        raise ValueError("an empty list of columns or tiles")
    return _listed(value)
