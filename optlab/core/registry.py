"""The catalogue: components found by walking their folders.

A file dropped into ``optlab/catalogue/optimizers/`` is an optimizer from then on, in every surface.
Files whose names start with an underscore, ``base.py`` and ``capabilities.py`` are the folder's
own. A file holds one component that has its name, or, in a folder whose package declares ``TABLE =
True``, several. The installer reads the same walk (:func:`modules`).

A folder may contribute components that are no files of its own: its package then has a function
``generated()``, which gives component classes, and name → sentence for each that there might be but
cannot be used, and why. Where these may change while OptLab runs, its function ``stamp()`` gives
something that changes with them.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from optlab.core.component import Component
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown

FOLDERS: Mapping[str, str] = {
    "dataset": "datasets",
    "model": "models",
    "loss": "losses",
    "initializer": "initializers",
    "pretraining": "pretraining",
    "optimizer": "optimizers",
    "schedule": "schedules",
    "clipping": "clipping",
    "averaging": "averaging",
    "delay": "delays",
    "continuation": "continuation",
    "batches": "batches",
    "stopping": "stopping",
    "measure": "measures",
    "instrument": "instruments",
    "surface": "surfaces",
}
"""Kind of component → its folder below ``optlab``, in the order in which surfaces list them."""


def kinds() -> tuple[str, ...]:
    """Every kind of component."""
    return tuple(FOLDERS)


def modules() -> list[str]:
    """Dotted names of all component modules (what an installer has to include)."""
    return [
        f"optlab.catalogue.{folder}.{name}"
        for folder in FOLDERS.values()
        for name in _module_names(folder)
    ]


def names(kind: str) -> list[str]:
    """Names of the components of a kind, in picker order (by group, then label)."""
    return list(_components(kind))


def components(kind: str) -> list[type[Component]]:
    """The component classes of a kind, in picker order."""
    return list(_components(kind).values())


def get(kind: str, name: str, where: str = "") -> type[Component]:
    """The component ``name`` of a kind.

    Args:
        where: dotted path to name in the message; by default the kind.

    Raises:
        InvalidInput: there is none of this name.
    """
    known = _components(kind)
    if isinstance(name, str) and name in known:
        return known[name]
    path = f"{where or kind}.name"
    if isinstance(name, str) and name in refused(kind):
        raise InvalidInput(
            f"{path} is {shown(name)}, which is no choice here: {refused(kind)[name]}", path
        )
    hint = did_you_mean(name, known) if isinstance(name, str) else ""
    raise InvalidInput(
        f"{path} is {shown(name)}, but no {kind} is called that{hint}; known are: {', '.join(known)}.",
        path,
    )


def build(kind: str, values: Mapping[str, Any], where: str = "") -> Component:
    """The component that ``values`` describes: its ``name`` and any of its fields.

    Raises:
        InvalidInput: the name is unknown, or a field's value is not allowed.
    """
    where = where or kind
    rest = dict(values)
    if "name" not in rest:
        raise InvalidInput(
            f"{where}.name is missing; it must be one of: {', '.join(names(kind))}.",
            f"{where}.name",
        )
    return get(kind, rest.pop("name"), where).build(rest, where)


def _module_names(folder: str) -> list[str]:
    package = importlib.import_module(f"optlab.catalogue.{folder}")
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(
        name for name in found if name not in ("base", "capabilities") and not name.startswith("_")
    )


def refused(kind: str) -> Mapping[str, str]:
    """What might have been a component of a kind but cannot be used: name → a sentence that says
    why.
    """
    return _generated(kind)[1]


def _generated(kind: str) -> tuple[list[type[Component]], dict[str, str]]:
    return _generated_at(kind, _stamp(kind))


def _components(kind: str) -> dict[str, type[Component]]:
    return _components_at(kind, _stamp(kind))


def _stamp(kind: str) -> object:
    """What a folder's ``stamp()`` gives: its generated components are asked for again when that
    changes.
    """
    stamp = getattr(importlib.import_module(f"optlab.catalogue.{FOLDERS[kind]}"), "stamp", None)
    return None if stamp is None else stamp()


@functools.lru_cache(maxsize=64)
def _generated_at(kind: str, stamp: object) -> tuple[list[type[Component]], dict[str, str]]:
    generate = getattr(
        importlib.import_module(f"optlab.catalogue.{FOLDERS[kind]}"), "generated", None
    )
    return ([], {}) if generate is None else generate()


@functools.lru_cache(maxsize=64)
def _components_at(kind: str, stamp: object) -> dict[str, type[Component]]:
    folder = FOLDERS[kind]
    found: list[type[Component]] = []
    for module_name in _module_names(folder):
        module = importlib.import_module(f"optlab.catalogue.{folder}.{module_name}")
        found += [
            value
            for value in vars(module).values()
            if inspect.isclass(value)
            and issubclass(value, Component)
            and value.__module__ == module.__name__
            and value.name
        ]
    found += _generated(kind)[0]
    found.sort(key=lambda component: (component.sort_order, component.label.lower()))
    return {component.name: component for component in found}


def rescan() -> None:
    """Forget what was found, so that files added since are seen."""
    _components_at.cache_clear()
    _generated_at.cache_clear()
