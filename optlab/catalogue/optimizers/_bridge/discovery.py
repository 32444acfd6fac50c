"""Which optimizers there are beyond the catalogue's own: those of torch, and those that installed
packages register.

torch's own are known by a table; a newer torch may have more, whose constructors are read from its
source. A package registers its optimizers by the entry-point group ``optlab.optimizers``::

    [project.entry-points."optlab.optimizers"]
    "acme.lamb" = "acme.optim:Lamb"

The name in front is what files and flags use; it must begin with the name of a package and a dot,
so that no package can stand in for a component of the catalogue. Only what is registered here can
be named: an experiment file never says what to import. Registered packages are imported when the
optimizers are first listed; one that cannot be used gives one sentence and takes nothing else down.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from optlab.catalogue.optimizers._bridge import words
from optlab.catalogue.optimizers._bridge.rules import TorchRule, Unfit, rule
from optlab.catalogue.optimizers._bridge.signatures import Signature, read, read_source
from optlab.catalogue.optimizers._bridge.table import KNOWN

ENTRY_POINTS = "optlab.optimizers"
"""The entry-point group of third-party optimizers."""
_NAME = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+(?:[.-][a-z0-9_]+)*")


def found() -> tuple[list[type[TorchRule]], dict[str, str]]:
    """Component classes, and name → why there is none of that name, a sentence."""
    rules: list[type[TorchRule]] = []
    refused: dict[str, str] = {}
    for signature in (*KNOWN, *_newer()):
        name = f"torch.{signature.cls.lower()}"
        if signature.cls in words.UNFIT:
            refused[name] = words.UNFIT[signature.cls]
            continue
        try:
            rules.append(_of_torch(signature, name))
        except Unfit as error:
            refused[name] = str(error)
    taken = {rule.name for rule in rules} | set(refused)
    for point in sorted(
        importlib.metadata.entry_points(group=ENTRY_POINTS),
        key=lambda point: (point.name, point.value),
    ):
        if point.name in taken or not _NAME.fullmatch(point.name):
            reason = (
                "it is taken"
                if point.name in taken
                else "it must be like package.name, in small letters"
            )
            refused[point.value] = (
                f"{_package(point)} registers an optimizer as '{point.name}', which cannot be its name: {reason}."
            )
            continue
        taken.add(point.name)
        try:
            rules.append(_registered(point))
        except Unfit as error:
            refused[point.name] = (
                f"{_package(point)} registers the optimizer {point.name}, which cannot be used: {error}"
            )
    return rules, refused


def classes_of_torch(optim: Any) -> Iterator[type]:
    """The optimizer classes of the module ``torch.optim``, by name."""
    for name in sorted(vars(optim)):
        value = vars(optim)[name]
        if (
            inspect.isclass(value)
            and issubclass(value, optim.Optimizer)
            and value is not optim.Optimizer
        ):
            yield value


@functools.cache
def _of_torch(signature: Signature, name: str) -> type[TorchRule]:
    """One class for good, however often the catalogue is walked."""
    return rule(
        signature,
        name,
        f"{signature.cls} (torch)",
        "torch.optim",
        500,
        words.ABOUT.get(signature.cls),
    )


@functools.cache
def _of_package(cls: Any, signature: Signature, name: str, package: str) -> type[TorchRule]:
    """The same for a class of package ``package`` (its name and version)."""
    made = rule(signature, name, f"{cls.__name__} ({name.partition('.')[0]})", package, 600, None)
    made.loaded = cls
    return made


def _registered(point: importlib.metadata.EntryPoint) -> type[TorchRule]:
    try:
        cls = point.load()
    except Exception as error:  # noqa: BLE001 - whatever a foreign package raises while it is imported, the catalogue stands
        raise Unfit(
            f"importing {point.value} failed with {type(error).__name__}: {' '.join(str(error).split()) or 'no reason given'}."
        ) from None
    from optlab.core.lazy import torch

    if not inspect.isclass(cls) or not issubclass(cls, torch.optim.Optimizer):
        raise Unfit(f"{point.value} is no class derived from torch.optim.Optimizer.")
    step = inspect.signature(cls.step).parameters
    if "closure" in step and step["closure"].default is inspect.Parameter.empty:
        raise Unfit(
            f"the step() of {point.value} needs a closure, but a rule here gets one gradient a step."
        )
    try:
        signature = read(cls)
    except (TypeError, ValueError) as error:
        raise Unfit(
            f"what the constructor of {point.value} takes cannot be read ({error})."
        ) from None
    return _of_package(cast(Any, cls), signature, point.name, _package(point))


def _package(point: importlib.metadata.EntryPoint) -> str:
    return (
        f"{point.dist.name} {point.dist.version}"
        if point.dist is not None
        else point.value.partition(".")[0].partition(":")[0]
    )


def _newer() -> Iterator[Signature]:
    """Optimizers of the installed torch that the table does not know, read from torch's source
    without importing it.
    """
    spec = importlib.util.find_spec("torch")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    folder = Path(places[0]) / "optim" if places else None
    if folder is None or not (folder / "__init__.py").is_file():
        return  # packed without sources: then torch is the one the table was made of
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
