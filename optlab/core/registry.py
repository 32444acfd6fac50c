"""The registry: every component, found by walking the folders of its kind.

A file dropped into ``optlab/catalogue/optimizers/`` is an optimizer in the command line and the
window alike. A folder of the catalogue is a kind of component, and so are the demonstrations: the
base class in its ``base.py`` declares the kind's key and its
:class:`~optlab.core.component.Section`.

Most functions take a kind by its key (``"optimizer"``) or by its base class (``Optimizer``), which
types the result.

A folder may add components that are no files: its package then has a function ``generated()`` that
returns component classes, and a mapping from the name of each component that cannot be used to a
sentence that says why. If these can change while OptLab runs, the package's function ``stamp()``
returns a value that changes with them.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from optlab.core import walk
from optlab.core.component import Component, Section
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown

C = TypeVar("C", bound=Component)

_BEYOND_THE_CATALOGUE = ("optlab.studies.demonstrations", "optlab.studies.probes")
"""Packages of components that run the engine, so that they cannot be in the catalogue."""

# mypy does not accept an abstract class for ``type[C]``.
Base = Callable[..., C]


@dataclass(frozen=True)
class _Kind:
    """A kind of component: its base class and the package of its components."""

    base: type[Component]
    package: str


@functools.cache
def _kinds() -> dict[str, _Kind]:
    kinds = [
        _Kind(base, package)
        for package in (*walk.packages("optlab.catalogue"), *_BEYOND_THE_CATALOGUE)
        for base in walk.own_classes(f"{package}.base", Component)
        if "section" in vars(base)
    ]
    kinds.sort(key=lambda kind: kind.base.section.order)
    return {kind.base.kind: kind for kind in kinds}


def kinds() -> tuple[str, ...]:
    """Return the key of every kind of component, in the order in which lists show them."""
    return tuple(_kinds())


def sections() -> Mapping[str, Section]:
    """Return the section of every kind, by key, in the order of :func:`kinds`."""
    return {key: kind.base.section for key, kind in _kinds().items()}


def packages() -> Mapping[str, str]:
    """Return the dotted name of the package of every kind, by key."""
    return {key: kind.package for key, kind in _kinds().items()}


def plurals() -> Mapping[str, str]:
    """Return the plural of every kind's key (``"optimizers"``), by key: the name of its folder."""
    return {key: package.rpartition(".")[2] for key, package in packages().items()}


def modules() -> list[str]:
    """Return the dotted names of all component modules."""
    return [module for package in packages().values() for module in walk.modules(package)]


def plugin_modules() -> list[str]:
    """Return the dotted names of all modules that no import statement names.

    Components, rules of the diagnosis, figures and commands. An installer has to include them.
    """
    others = ("optlab.studies.diagnosis", "optlab.studies.figures.notes", "optlab.cli")
    bases = [f"{package}.base" for package in packages().values()]
    return bases + modules() + [module for package in others for module in walk.modules(package)]


def names(kind: str | Base[Any]) -> list[str]:
    """Return the names of the components of a kind, in picker order (by rank, then label)."""
    return list(_components(_key(kind)))


@overload
def components(kind: str) -> list[type[Component]]: ...
@overload
def components(kind: Base[C]) -> list[type[C]]: ...
def components(kind: Any) -> list[Any]:
    """Return the component classes of a kind, in picker order."""
    return list(_components(_key(kind)).values())


@overload
def get(kind: str, name: str, where: str = "") -> type[Component]: ...
@overload
def get(kind: Base[C], name: str, where: str = "") -> type[C]: ...
def get(kind: Any, name: str, where: str = "") -> Any:
    """Return the component ``name`` of a kind.

    Args:
        where: dotted path that error messages name; by default the kind.

    Raises:
        InvalidInput: no component has this name.
    """
    kind = _key(kind)
    found = _of_its_file(kind, name) if isinstance(name, str) else None
    if found is not None:
        return found
    known = _components(kind)
    if isinstance(name, str) and name in known:
        return known[name]
    path = f"{where or kind}.name"
    if isinstance(name, str) and name in refused(kind):
        raise InvalidInput(
            f"{path} is {shown(name)}, which cannot be used: {refused(kind)[name]}", path
        )
    hint = did_you_mean(name, known) if isinstance(name, str) else ""
    raise InvalidInput(
        f"{path} is {shown(name)}, but no {kind} is called that{hint}; "
        f"known are: {', '.join(known)}.",
        path,
    )


@overload
def build(kind: str, values: Mapping[str, Any], where: str = "") -> Component: ...
@overload
def build(kind: Base[C], values: Mapping[str, Any], where: str = "") -> C: ...
def build(kind: Any, values: Mapping[str, Any], where: str = "") -> Any:
    """Return the component that ``values`` describes: its ``name`` and any of its fields.

    Args:
        where: dotted path that error messages name; by default the kind.

    Raises:
        InvalidInput: the name is unknown, or the value of a field is not allowed.
    """
    kind = _key(kind)
    where = where or kind
    fields = dict(values)
    if "name" not in fields:
        raise InvalidInput(
            f"{where}.name is missing; it must be one of: {', '.join(names(kind))}.",
            f"{where}.name",
        )
    return get(kind, fields.pop("name"), where).build(fields, where)


def refused(kind: str) -> Mapping[str, str]:
    """Return the components of a kind that exist but cannot be used.

    Name → a sentence that says why.
    """
    return _generated(kind)[1]


def rescan() -> None:
    """Discard the cached components, so that files added since are found."""
    _of_its_file.cache_clear()
    _components_at.cache_clear()
    _generated_at.cache_clear()


def _key(kind: Any) -> str:
    return kind if isinstance(kind, str) else str(kind.kind)


def _generated(kind: str) -> tuple[list[type[Component]], dict[str, str]]:
    return _generated_at(kind, _stamp(kind))


def _components(kind: str) -> dict[str, type[Component]]:
    return _components_at(kind, _stamp(kind))


def _stamp(kind: str) -> object:
    """Return the current stamp of a folder; its generated components are cached by it."""
    stamp = getattr(importlib.import_module(_kinds()[kind].package), "stamp", None)
    return None if stamp is None else stamp()


@functools.lru_cache(maxsize=64)
def _generated_at(kind: str, stamp: object) -> tuple[list[type[Component]], dict[str, str]]:
    generate = getattr(importlib.import_module(_kinds()[kind].package), "generated", None)
    return ([], {}) if generate is None else generate()


@functools.lru_cache(maxsize=1024)
def _of_its_file(kind: str, name: str) -> type[Component] | None:
    """Return the component in the file of its own name, or None if there is no such file.

    The other files of the folder are not imported: an experiment names ten components of a hundred.
    """
    package = _kinds()[kind].package
    module = f"{package}.{name}"
    if module not in walk.modules(package):
        return None
    for component in walk.own_classes(module, Component):
        if component.name == name:
            return component
    return None


@functools.lru_cache(maxsize=64)
def _components_at(kind: str, stamp: object) -> dict[str, type[Component]]:
    files = walk.classes(_kinds()[kind].package, Component)
    members = [component for component in files if component.name]
    members += _generated(kind)[0]
    members.sort(key=lambda component: (component.sort_order, component.label.lower()))
    return {component.name: component for component in members}
