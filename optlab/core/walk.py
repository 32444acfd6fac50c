"""The walk through a package that finds its plugins: a file dropped into the folder is found.

Components, demonstrations, rules of the diagnosis, figures and commands are all found by this walk.
Files whose names start with an underscore, ``base.py`` and ``capabilities.py`` belong to the folder
itself. The installer reads the same walk (:func:`optlab.core.registry.plugin_modules`).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")

_SHARED = ("base", "capabilities")
"""Modules that belong to the folder itself."""


def modules(package: str) -> list[str]:
    """Return the dotted names of a package's plugin modules, sorted."""
    return [f"{package}.{name}" for name in _names(package, packages=False)]


def packages(package: str) -> list[str]:
    """Return the dotted names of the packages directly inside a package, sorted."""
    return [f"{package}.{name}" for name in _names(package, packages=True)]


def classes(package: str, base: Callable[..., T]) -> list[type[T]]:
    """Return the subclasses of ``base`` that a package's plugin modules define.

    ``base`` is a class; it is annotated as a callable because mypy does not accept an abstract
    class for ``type[T]``.
    """
    return [found for module in modules(package) for found in own_classes(module, base)]


def own_classes(module: str, base: Callable[..., T]) -> list[type[T]]:
    """Return the subclasses of ``base`` that one module defines, in their order in the file."""
    loaded = importlib.import_module(module)
    parent = cast("type[T]", base)
    return [
        value
        for value in vars(loaded).values()
        if inspect.isclass(value)
        and issubclass(value, parent)
        and value.__module__ == loaded.__name__
    ]


def load(package: str) -> list[Any]:
    """Return a package's plugin modules, imported, in the order of their names."""
    return [importlib.import_module(module) for module in modules(package)]


def _names(package: str, *, packages: bool) -> list[str]:
    paths = importlib.import_module(package).__path__
    return sorted(
        module.name
        for module in pkgutil.iter_modules(paths)
        if module.ispkg == packages
        and module.name not in _SHARED
        and not module.name.startswith("_")
    )
