"""Demonstrations: small programs that each show one statement of the notes.

A demonstration runs the engine, so it is not in the catalogue, on which the engine is built. It is
a component all the same: one file in this folder, found by :mod:`optlab.core.registry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optlab.core import registry
from optlab.studies.demonstrations.base import Demonstration


def names() -> list[str]:
    """Return the names of the demonstrations, in the order of the chapter's rows."""
    return registry.names(Demonstration)


def demonstrations() -> list[type[Demonstration]]:
    """Return the demonstration classes, in the order of the chapter's rows."""
    return registry.components(Demonstration)


def get(name: str) -> type[Demonstration]:
    """Return the demonstration ``name``.

    Raises:
        InvalidInput: no demonstration has this name.
    """
    return registry.get(Demonstration, name)


def build(name: str, values: Mapping[str, Any]) -> Demonstration:
    """Return the demonstration ``name`` with these values of its fields.

    Raises:
        InvalidInput: the name is unknown, or the value of a field is not allowed.
    """
    return get(name).build(values, name)
