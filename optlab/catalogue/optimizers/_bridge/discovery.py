"""Discovery of the optimizers of torch and of those that installed packages register.

torch's own are listed in a table; a newer torch may have more, whose constructors are read from its
source. A package registers its optimizers in the entry-point group ``optlab.optimizers``::

    [project.entry-points."optlab.optimizers"]
    "acme.lamb" = "acme.optim:Lamb"

The key is the name in files and flags; it must begin with the name of a package and a dot, so that
no package can replace a component of the catalogue. Only registered optimizers can be named: an
experiment file never says what to import. Registered packages are imported when the optimizers are
first listed; one that cannot be used is reported in a sentence and does not affect the others.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from optlab.catalogue.optimizers._bridge import descriptions
from optlab.catalogue.optimizers._bridge.calls import has_modes
from optlab.catalogue.optimizers._bridge.foreign_rules import foreign_rule, needs_closure
from optlab.catalogue.optimizers._bridge.rules import (
    TorchRule,
    UnsupportedOptimizer,
    build_rule,
)
from optlab.catalogue.optimizers._bridge.signatures import Signature, read, read_source
from optlab.catalogue.optimizers._bridge.table import KNOWN

ENTRY_POINTS = "optlab.optimizers"
"""The entry-point group of third-party optimizers."""
_NAME = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+(?:[.-][a-z0-9_]+)*")


def discover() -> tuple[list[type[TorchRule]], dict[str, str]]:
    """Return the component classes, and name → reason for the optimizers that are refused."""
    rules: list[type[TorchRule]] = []
    refused: dict[str, str] = {}
    for signature in (*KNOWN, *_newer()):
        name = f"torch.{signature.cls.lower()}"
        if signature.cls in descriptions.UNSUPPORTED:
            refused[name] = descriptions.UNSUPPORTED[signature.cls]
            continue
        try:
            rules.append(_torch_rule(signature, name))
        except UnsupportedOptimizer as error:
            refused[name] = str(error)
    used = {rule.name for rule in rules} | set(refused)
    for point in sorted(
        importlib.metadata.entry_points(group=ENTRY_POINTS),
        key=lambda point: (point.name, point.value),
    ):
        if point.name in used or not _NAME.fullmatch(point.name):
            reason = (
                "the name is already in use"
                if point.name in used
                else "it must have the form package.name, in lowercase"
            )
            refused[point.value] = (
                f"{_package(point)} registers an optimizer under the invalid name"
                f" '{point.name}': {reason}."
            )
            continue
        used.add(point.name)
        try:
            rules.append(_registered_rule(point))
        except UnsupportedOptimizer as error:
            reason = str(error)
        except _FOREIGN_ERRORS as error:
            reason = f"reading {point.value} failed with {_explained(error)}."
        else:
            continue
        refused[point.name] = (
            f"{_package(point)} registers the optimizer {point.name}, which cannot be used:"
            f" {reason}"
        )
    return rules, refused


_FOREIGN_ERRORS = (Exception, SystemExit)
"""What a foreign package may raise: every error, and ``sys.exit``, which must not end OptLab."""


def _explained(error: BaseException) -> str:
    """Return an error of foreign code in one line."""
    reason = " ".join(str(error).split()).removesuffix(".")
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def classes_of_torch(optim: Any) -> Iterator[type]:
    """Yield the optimizer classes of the module ``torch.optim``, sorted by name."""
    for name in sorted(vars(optim)):
        value = vars(optim)[name]
        if (
            inspect.isclass(value)
            and issubclass(value, optim.Optimizer)
            and value is not optim.Optimizer
        ):
            yield value


@functools.cache
def _torch_rule(signature: Signature, name: str) -> type[TorchRule]:
    """Return the component class of a torch optimizer, always the same object."""
    return build_rule(
        signature,
        name,
        f"{signature.cls} (torch)",
        "torch.optim",
        500,
        descriptions.DESCRIPTIONS.get(signature.cls),
    )


@functools.cache
def _package_rule(cls: Any, signature: Signature, name: str, package: str) -> type[TorchRule]:
    """Return the component class of an optimizer of ``package`` (its name and version)."""
    label = f"{cls.__name__} ({name.partition('.')[0]})"
    rule = foreign_rule(
        signature, name, label, package, 600, closure=needs_closure(cls), modes=has_modes(cls)
    )
    rule.loaded = cls
    rule.own_modules = (cls.__module__.rpartition(".")[0] or cls.__module__,)
    return rule


def _registered_rule(point: importlib.metadata.EntryPoint) -> type[TorchRule]:
    try:
        # Standard output belongs to the command: it may be a JSON document.
        with contextlib.redirect_stdout(sys.stderr):
            cls = point.load()
    except _FOREIGN_ERRORS as error:
        raise UnsupportedOptimizer(
            f"importing {point.value} failed with {_explained(error)}."
        ) from None
    from optlab.core.lazy import torch

    if not inspect.isclass(cls) or not issubclass(cls, torch.optim.Optimizer):
        raise UnsupportedOptimizer(
            f"{point.value} is not a class derived from torch.optim.Optimizer."
        )
    try:
        signature = read(cls)
    except (TypeError, ValueError) as error:
        raise UnsupportedOptimizer(
            f"the arguments of the constructor of {point.value} cannot be read ({error})."
        ) from None
    return _package_rule(cast(Any, cls), signature, point.name, _package(point))


def _package(point: importlib.metadata.EntryPoint) -> str:
    return (
        f"{point.dist.name} {point.dist.version}"
        if point.dist is not None
        else point.value.partition(".")[0].partition(":")[0]
    )


def _newer() -> Iterator[Signature]:
    """Yield the optimizers of the installed torch that are not in the table.

    They are read from the source of torch without importing it.
    """
    spec = importlib.util.find_spec("torch")
    locations = list(spec.submodule_search_locations or ()) if spec is not None else []
    folder = Path(locations[0]) / "optim" if locations else None
    if folder is None or not (folder / "__init__.py").is_file():
        return  # packaged without sources: torch is then the version of the table
    known = {signature.cls for signature in KNOWN} | {"Optimizer"}
    imports = re.findall(
        r"^from torch\.optim\.(\w+) import (\w+) as (\w+)$",
        (folder / "__init__.py").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    for module, name, exported in imports:
        if (
            name == exported
            and name[:1].isupper()
            and name not in known
            and (folder / f"{module}.py").is_file()
        ):
            signature = read_source(
                (folder / f"{module}.py").read_text(encoding="utf-8"), "torch.optim", name
            )
            if signature is not None:
                yield signature
