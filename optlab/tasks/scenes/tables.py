"""The tables of a scene's file, before anything in them is built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optlab.core import toml
from optlab.core.errors import InvalidInput
from optlab.core.fields import shown
from optlab.core.reading import read_at_most
from optlab.core.toml import LARGEST_DOCUMENT


def tables_of(path: Path) -> dict[str, Any]:
    """Return the tables in a file.

    Raises:
        InvalidInput: the file cannot be read or is no TOML; the message begins with its path.
    """
    try:
        content = read_at_most(path, LARGEST_DOCUMENT)
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte in it
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"{path} cannot be read: {reason}.") from None
    if content is None:
        raise InvalidInput(
            f"{path} is larger than {LARGEST_DOCUMENT // 1024} KiB, so it is not a scene; give the "
            "path of a TOML file."
        )
    try:
        return toml.parse(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path} is not a text file in UTF-8 (byte {error.start} does not fit)."
        ) from None
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
