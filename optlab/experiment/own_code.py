"""Which parts of an experiment execute code that does not belong to OptLab."""

from __future__ import annotations

import tomllib

from optlab.core import registry
from optlab.core.errors import InvalidInput


def own_code(document: str) -> tuple[str, ...]:
    """Return the parts that execute code of the user's or of another package.

    Nothing of it is executed, unless listing the optimizers imports the packages that register some.

    Args:
        document: the experiment as TOML.

    Returns:
        Texts as "model.name is 'own.net'"; empty where there are none, or the document is invalid,
        which is reported when it is read.
    """
    try:
        tables = tomllib.loads(document)
    except (tomllib.TOMLDecodeError, RecursionError):
        return ()
    found: list[str] = []
    for kind, section in registry.sections().items():
        table = tables.get(kind)
        if section.per_experiment != "one" or not isinstance(table, dict):
            continue
        try:
            component = registry.get(kind, table.get("name", ""))
        except InvalidInput:
            continue
        if component.own_code:
            found.append(f"{kind}.name is '{component.name}'")
    return tuple(found)
