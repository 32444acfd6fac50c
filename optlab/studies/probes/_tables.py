"""Sections of a file inside a field of text: inline tables of TOML."""

from __future__ import annotations

from typing import Any

from optlab.core import toml
from optlab.core.errors import InvalidInput
from optlab.core.fields import shown


def table(text: str, where: str) -> dict[str, Any]:
    """Return the table of a text such as ``{ name = "momentum", lr = 0.1 }``; {} for "".

    Args:
        where: name of the field, for messages.

    Raises:
        InvalidInput: the text is no inline table of TOML.
    """
    if not text.strip():
        return {}
    try:
        value = toml.parse(f"value = {text}")["value"]
    except toml.TOMLProblem as error:
        raise InvalidInput(
            f"{where} is {shown(text)}, which is not TOML: {error}.", where
        ) from None
    if not isinstance(value, dict):
        raise InvalidInput(
            f'{where} is {shown(text)}, but it must be a table, as {{ name = "sgd", lr = 0.1 }}.',
            where,
        )
    return value
