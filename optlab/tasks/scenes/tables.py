"""The tables of a scene's file, before anything in them is built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optlab.core import toml
from optlab.core.documents import read_document
from optlab.core.errors import InvalidInput
from optlab.core.fields import shown


def tables_of(path: Path) -> dict[str, Any]:
    """Return the tables in a file.

    Raises:
        InvalidInput: the file cannot be read or is no TOML; the message begins with its path.
    """
    document = read_document(path, "a scene")
    try:
        return toml.parse(document)
    except toml.TOMLProblem as error:
        raise InvalidInput(f"{path} is not a TOML file: {error}.") from None


def text_of(tables: Mapping[str, Any], key: str) -> str:
    """Return a text on one line, or "" where there is none.

    Raises:
        InvalidInput: the value is no text.
    """
    value = tables.get(key, "")
    if not isinstance(value, str):
        raise InvalidInput(f"{key} is {shown(value)}, but it must be a text.", key)
    return " ".join(value.split())


def table_of(tables: Mapping[str, Any], key: str, where: str = "") -> dict[str, Any]:
    """Return a section, empty where there is none.

    Raises:
        InvalidInput: the value is no section.
    """
    value, name = tables.get(key, {}), f"{where}.{key}" if where else key
    if not isinstance(value, Mapping):
        raise InvalidInput(
            f"{name} is {shown(value)}, but it must be a section, [{name}] with its fields below.",
            name,
        )
    return dict(value)
