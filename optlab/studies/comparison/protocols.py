"""What a study does, apart from how its document is written.

A study is stored with every field of its components. A later version may have components with more
fields; a document that lacks them means their default values, and so the same runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optlab.core import registry, toml

_LATER = {"seeds": {"alone": False}, "base": {"compiled": False}}
"""Fields that sections of studies, and experiments ("base") by themselves, have got since the first
documents, with their default values.
"""


def settled(table: Mapping[str, Any], kind: str = "") -> dict[str, Any]:
    """Return a table of a study without the later fields that have their default value.

    Args:
        kind: name of the section or kind of the component that the table describes, "" for a study.
    """
    defaults: dict[str, Any] = dict(_LATER.get(kind, {}))
    if kind in registry.kinds() and table.get("name") in registry.names(kind):
        component = registry.get(kind, table["name"])
        defaults = {field.name: field.default for field in component.fields()}
    return {
        name: settled(value, name) if isinstance(value, Mapping) else value
        for name, value in table.items()
        if isinstance(value, Mapping) or name not in defaults or value != defaults[name]
    }


def same_protocol(one: str, other: str) -> bool:
    """Return whether two documents of studies ask for the same runs and the same decision."""
    return one == other or settled(toml.parse(one)) == settled(toml.parse(other))
