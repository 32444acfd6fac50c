"""Optimizers of the user's own: ``torch.optim.Optimizer`` classes from a file.

They are registered and confirmed as models are (:mod:`optlab.outside.own_models`). What a component
class needs to know of the constructor is part of the registration, so that listing the optimizers
reads it and executes nothing; the class itself is executed when an optimizer is first made.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from optlab.catalogue.optimizers._bridge.calls import has_modes
from optlab.catalogue.optimizers._bridge.foreign_rules import (
    ForeignRule,
    foreign_rule,
    needs_closure,
)
from optlab.catalogue.optimizers._bridge.rules import UnsupportedOptimizer
from optlab.catalogue.optimizers._bridge.signatures import Argument, Signature, read
from optlab.catalogue.optimizers._bridge.trial import try_out
from optlab.core.errors import InvalidInput, StoreError
from optlab.outside.own_models import records, sources
from optlab.outside.own_models.copies import with_copies
from optlab.outside.own_models.records import OPTIMIZER, Registration
from optlab.outside.own_models.sources import Source

_WANTS_A_CLOSURE = ("closure", "'nonetype' object is not callable")
_WANTS_FLOATS = ("double", "float64", "dtype")
"""Words in the error of a trial after which another one is made: with a closure, in float32."""
_NONE = "<none>"
"""Stands for None in the registration, which is TOML."""


class OwnRule(ForeignRule):
    """Base of the optimizers of the user's own."""

    registration: ClassVar[Registration]

    @classmethod
    def unavailable(cls) -> str:
        try:
            sources.confirmed(cls.registration)
        except (InvalidInput, StoreError) as error:
            return str(error)
        return ""

    def files(self) -> tuple[Path, ...]:
        return sources.files_of(self.registration)

    @classmethod
    def optimizer_class(cls) -> Any:
        return cls.loaded or sources.load(cls.registration)

    def origin(self, beside: Mapping[str, bytes]) -> tuple[str, Mapping[str, bytes]]:
        return with_copies(sources.confirmed(self.registration), beside)


@dataclass(frozen=True)
class Tried:
    """What came of registering an optimizer.

    Attributes:
        registration: its entry.
        fields: names of its fields.
        difference: the largest relative difference between its parameters here and those of the
            same class stepped by a loop of its own, after some steps on a small problem.
        precision: in which it was tried: ``"float32"`` where it fails in ``"float64"``.
    """

    registration: Registration
    fields: tuple[str, ...]
    difference: float
    precision: str


def register(source: Source, name: str) -> Tried:
    """Execute a confirmed source, try its class, and keep it as ``own.<name>``.

    Raises:
        InvalidInput: it cannot be executed or used; nothing is kept then.
        StoreError: it cannot be kept.
    """
    bare = records.checked_name(name, OPTIMIZER)
    found = sources.execute(source, OPTIMIZER)
    what = f"{source.path}: {source.cls}"
    try:
        signature = read(found)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{what} cannot be used: {error}.", "origin") from None
    attempts = [("float64", needs_closure(found))]
    first: InvalidInput | None = None
    for precision, closure in attempts:  # grows by what an error suggests
        registration = _registration(source, bare, signature, found, closure=closure)
        try:
            rule = component_class(registration)
            difference = _tried(rule, found, what, precision)
        except UnsupportedOptimizer as error:
            raise InvalidInput(f"{what} cannot be used: {error}", "origin") from None
        except InvalidInput as error:
            # In single precision because double fails, another error is the reason.
            first = error if first is None or precision == "float32" else first
            words = str(error).lower()
            if not closure and any(word in words for word in _WANTS_A_CLOSURE):
                attempts.append((precision, True))
            elif precision == "float64" and any(word in words for word in _WANTS_FLOATS):
                attempts.append(("float32", closure))
        else:
            records.keep(registration)
            fields = tuple(field.name for field in rule.fields())
            return Tried(registration, fields, difference, precision)
    raise InvalidInput(f"{what} cannot be used: {_without_subject(str(first), what)}", "origin")


def _without_subject(sentence: str, subject: str) -> str:
    """Return a sentence that may begin with what the one around it has named already."""
    rest = sentence.removeprefix(subject)
    if rest == sentence:
        return sentence
    return rest.removeprefix(": ") if rest.startswith(": ") else f"it{rest}"


def _tried(rule: type[OwnRule], found: Any, what: str, precision: str) -> float:
    rule.loaded = found  # it is not registered yet
    try:
        return try_out(rule, what, precision)
    finally:
        rule.loaded = None


def registered() -> tuple[list[type[ForeignRule]], dict[str, str]]:
    """Return a component class for each registered optimizer, and name → why it cannot be used."""
    try:
        entries = records.read_entries(OPTIMIZER)
    except StoreError as error:
        return [], {f"{records.PREFIX}…": str(error)}
    rules: list[type[ForeignRule]] = []
    refused: dict[str, str] = {}
    for entry in entries:
        name = f"{records.PREFIX}{entry.label}"
        if entry.registration is None:
            refused[name] = entry.problem
            continue
        try:
            rules.append(component_class(entry.registration))
        except (UnsupportedOptimizer, KeyError, TypeError, ValueError, AttributeError) as error:
            refused[name] = f"Its registration cannot be used ({error}); register it again."
    return rules, refused


@functools.cache
def component_class(registration: Registration) -> type[OwnRule]:
    """Return the component class of a registered optimizer, the same for each walk.

    Raises:
        UnsupportedOptimizer: an argument cannot be a field.
    """
    details = registration.details
    rule = foreign_rule(
        _signature(registration.origin, registration.cls, details),
        f"{records.PREFIX}{registration.name}",
        f"{registration.cls} (own.{registration.name})",
        "Your own",
        700,
        closure=details["closure"] is True,
        modes=details["modes"] is True,
        parent=OwnRule,
    )
    assert issubclass(rule, OwnRule)
    rule.registration = registration
    rule.source = f"Your own: {registration.origin}, SHA-256 {registration.sha256}."
    rule.own_modules = (
        sources.module_name(
            registration.origin, registration.sha256, imported=registration.imported
        ),
    )
    return rule


def _registration(
    source: Source, name: str, signature: Signature, found: Any, *, closure: bool
) -> Registration:
    return Registration(
        name,
        source.origin,
        source.imported,
        source.cls,
        source.sha256,
        beside=source.beside,
        kind=OPTIMIZER,
        details={
            "closure": closure,
            "modes": has_modes(found),
            "wraps": signature.wraps,
            "open": signature.open,
            "arguments": [
                {
                    "name": argument.name,
                    "default": _written(argument.default),
                    "annotation": argument.annotation,
                }
                for argument in signature.arguments
            ],
        },
    )


def _signature(module: str, cls: str, details: Mapping[str, Any]) -> Signature:
    arguments = tuple(
        Argument(str(table["name"]), _read(table["default"]), str(table["annotation"]))
        for table in details["arguments"]
    )
    return Signature(module, cls, arguments, str(details["wraps"]), details["open"] is True)


def _written(default: Any) -> Any:
    if isinstance(default, tuple):
        return [_written(part) for part in default]
    return _NONE if default is None else default


def _read(default: Any) -> Any:
    if isinstance(default, list):
        return tuple(_read(part) for part in default)
    return None if default == _NONE else default
