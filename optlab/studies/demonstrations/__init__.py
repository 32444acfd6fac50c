"""Demonstrations: small studies that each test one statement of the notes, discovered by walking
this folder.

A demonstration runs the engine, so it cannot live in the catalogue, which the engine is built on.
It is a component all the same, with the same declarations, one in each file; the walk below is a
small version of :mod:`optlab.core.registry`. Files whose names start with an underscore, and
``base.py``, are helpers. The installer uses the same walk (:func:`modules`).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown
from optlab.studies.demonstrations.base import Demonstration


def modules() -> list[str]:
    """Return the dotted names of all modules, which an installer has to include."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return [
        f"{__name__}.{name}"
        for name in sorted(found)
        if name != "base" and not name.startswith("_")
    ]


def names() -> list[str]:
    """Return the names of the demonstrations, in the order of the rows of the chapter."""
    return list(_benches())


def demonstrations() -> list[type[Demonstration]]:
    """Return the classes of the demonstrations, in the order of the rows of the chapter."""
    return list(_benches().values())


def get(name: str) -> type[Demonstration]:
    """Return the class of the demonstration ``name``.

    Raises:
        InvalidInput: there is no demonstration of this name.
    """
    known = _benches()
    if name not in known:
        raise InvalidInput(
            (
                f"bench is {shown(name)}{did_you_mean(str(name), known)}, but it must be one of: "
                f"{', '.join(known)}."
            ),
            "bench",
        )
    return known[name]


def build(name: str, values: Mapping[str, Any]) -> Demonstration:
    """Return the demonstration ``name`` with these values of its fields.

    Raises:
        InvalidInput: the name is unknown, or a field's value is not allowed.
    """
    return get(name).build(values, name)


def rescan() -> None:
    """Clear the cache, so that files added since are found."""
    _benches.cache_clear()


@functools.cache
def _benches() -> dict[str, type[Demonstration]]:
    found: list[type[Demonstration]] = []
    for module_name in modules():
        module = importlib.import_module(module_name)
        found += [
            value
            for value in vars(module).values()
            if inspect.isclass(value)
            and issubclass(value, Demonstration)
            and value.__module__ == module.__name__
            and value.name
        ]
    found.sort(key=lambda demonstration: (demonstration.sort_order, demonstration.label.lower()))
    return {demonstration.name: demonstration for demonstration in found}
