"""How a rule's fields look as arguments of a torch optimizer: names, signature, checks and
documentation.

Names are torch's where they differ: ``betas`` bundles ``beta1`` and ``beta2`` because schedulers
look for it. Values live in torch's parameter groups, where schedulers change them, and are handed
to the rule as the numbers it knows.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from optlab.catalogue.optimizers.base import Optimizer
from optlab.core.errors import InvalidInput
from optlab.core.fields import Field, shown
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment.pages import page

_COMMON: Mapping[str, tuple[Any, type, str]] = {
    "weight_decay": (
        0.0,
        float,
        "L2 penalty: this times the parameters is added to their gradient, as torch.optim does; at least 0.",
    ),
    "maximize": (False, bool, "Climb instead of descend."),
}
"""Arguments that every class has: default, type and words. A rule with a field of the same name
brings its own.
"""


@dataclass(frozen=True)
class Argument:
    """One argument: its name, and the fields of the rule that it holds (several where torch bundles
    them).
    """

    name: str
    fields: tuple[Field, ...]

    @property
    def bundled(self) -> bool:
        """Whether the value is a tuple."""
        return self.name != self.fields[0].name

    @property
    def default(self) -> Any:
        """The field's default, or a tuple of them."""
        return (
            tuple(field.default for field in self.fields)
            if self.bundled
            else self.fields[0].default
        )


@functools.cache
def arguments(rule: type[Optimizer]) -> tuple[Argument, ...]:
    """The rule's own arguments, ``lr`` first."""
    bundles = {name: argument for argument, names in rule.torch_arguments.items() for name in names}
    found: dict[str, Argument] = {}
    for field in sorted(rule.fields(), key=lambda field: field.name != "lr"):
        name = bundles.get(field.name, field.name)
        members = tuple(
            rule.field(member) for member in rule.torch_arguments.get(name, (field.name,))
        )
        found.setdefault(name, Argument(name, members))
    return tuple(found.values())


def common(rule: type[Optimizer]) -> dict[str, tuple[Any, type, str]]:
    """The arguments that are the same for every rule."""
    own = {argument.name for argument in arguments(rule)}
    return {name: declared for name, declared in _COMMON.items() if name not in own}


def signature(rule: type[Optimizer]) -> inspect.Signature:
    """``(params, lr=…, *, …, weight_decay=0.0, maximize=False)``."""
    types = {"number": float, "integer": int, "flag": bool, "choice": str, "text": str}
    parameters = [inspect.Parameter("params", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for argument in arguments(rule):
        kind = (
            inspect.Parameter.POSITIONAL_OR_KEYWORD
            if argument.name == "lr"
            else inspect.Parameter.KEYWORD_ONLY
        )
        members = tuple(types.get(field.kind, tuple) for field in argument.fields)
        annotation: Any = tuple[members] if argument.bundled else members[0]  # type: ignore[valid-type]
        parameters.append(
            inspect.Parameter(argument.name, kind, default=argument.default, annotation=annotation)
        )
    for name, (default, type_, _) in common(rule).items():
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=type_
            )
        )
    return inspect.Signature(parameters)


def check(rule: type[Optimizer], group: Mapping[str, Any]) -> None:
    """Whether a parameter group's values are allowed, by the rule's own validation.

    Raises:
        ValueError: one sentence with the argument, its value and what it must be.
    """
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for argument in arguments(rule):
        given = group[argument.name]
        count = len(argument.fields)
        if argument.bundled and not (isinstance(given, (tuple, list)) and len(given) == count):
            raise ValueError(
                f"{rule.__name__}: {argument.name} is {shown(given)}, but it must be a tuple of {count} numbers."
            )
        for place, (field, value) in enumerate(
            zip(argument.fields, given if argument.bundled else (given,), strict=True)
        ):
            places[field.name] = f"{argument.name}[{place}]" if argument.bundled else argument.name
            values[field.name] = _plain(rule, places[field.name], value, field.kind)
    try:
        rule.build(values, "")
    except InvalidInput as error:
        message = str(error)
        if error.field in places:
            message = places[error.field] + message.removeprefix(error.field)
        raise ValueError(f"{rule.__name__}: {message}") from None
    extra = common(rule)
    if "weight_decay" in extra:
        decay = _plain(rule, "weight_decay", group["weight_decay"], "number")
        if not isinstance(decay, float) or not math.isfinite(decay) or decay < 0.0:
            raise ValueError(
                f"{rule.__name__}: weight_decay is {shown(decay)}, but it must be a number at least 0."
            )
    if "maximize" in extra and not isinstance(group["maximize"], bool):
        raise ValueError(
            f"{rule.__name__}: maximize is {shown(group['maximize'])}, but it must be true or false."
        )


def _plain(rule: type[Optimizer], name: str, value: Any, kind: str) -> Any:
    """The number in a tensor of one element or a NumPy scalar; anything else as it is, for the rule
    to judge.
    """
    if isinstance(value, torch.Tensor):
        if value.numel() != 1:
            raise ValueError(
                f"{rule.__name__}: {name} is a tensor of {value.numel()} elements; Tensor {name} must be 1-element."
            )
        value = value.item()
    if isinstance(value, bool):
        return value
    if kind == "number" and isinstance(value, numbers.Real):
        return float(value)
    return int(value) if isinstance(value, numbers.Integral) else value


def hyperparameters(rule: type[Optimizer], group: Mapping[str, Any]) -> Hyperparameters:
    """What the rule's functions read, from a parameter group as it stands now (``step`` is left to
    set).
    """
    values: dict[str, Any] = {}
    for argument in arguments(rule):
        given = group[argument.name]
        for field, value in zip(
            argument.fields, given if argument.bundled else (given,), strict=True
        ):
            # Without dimensions a tensor multiplies as a number does, whatever its precision.
            values[field.name] = value.reshape(()) if isinstance(value, torch.Tensor) else value
    return Hyperparameters(**values)


def documentation(rule: type[Optimizer], module: str) -> str:
    """The class's docstring, from the component's page."""
    described = page(rule)
    parts = [_wrapped(paragraph) for paragraph in (described.sentence, *described.explanation)]
    if described.rule:
        parts.append("Rule (LaTeX):\n" + "\n".join(f"    {line}" for line in described.rule))
    if described.symbols:
        parts.append(
            "Symbols:\n"
            + "\n".join(f"    {symbol}: {meaning}" for symbol, meaning in described.symbols)
        )
    lines = [
        "params: parameters, (name, parameter) pairs, or dictionaries that each give a group its own values."
    ]
    for argument in arguments(rule):
        lines.append(
            f"{argument.name}: {'; '.join(_words(field) for field in argument.fields)} Default {argument.default!r}."
        )
    lines += [
        f"{name}: {words} Default {default!r}."
        for name, (default, _, words) in common(rule).items()
    ]
    parts.append("Args:\n" + "\n".join(_wrapped(line, "    ", "        ") for line in lines))
    parts.append(
        "Raises:\n    ValueError: a value is not allowed; the message says which.\n    TypeError: there is no such argument."
    )
    if rule.point is not Optimizer.point:
        parts.append(_LOOK_AHEAD)
    if described.differences:
        parts.append(_wrapped(f"Differs: {described.differences}"))
    if described.source:
        parts.append(_wrapped(f"Source: {described.source}"))
    parts.append(
        f"Example:\n    optimizer = {module}.{rule.__name__}(model.parameters())\n    loss.backward()\n    optimizer.step()"
    )
    return "\n\n".join(parts)


_LOOK_AHEAD = """Where the gradient is taken:
    This rule wants the gradient at an interim point ahead of the parameters θ.
    With a closure, step(closure) moves there, evaluates the closure once, and leaves the new θ
    in the module. Without one, the module holds the interim point between steps, so that
    loss.backward() is evaluated there (as torch.optim does); use "with optimizer.at_iterate():"
    to look at θ itself. Both give the same sequence of θ while the arguments do not change.
    After steps with a closure call look_ahead() before going on without."""


def _wrapped(paragraph: str, first: str = "", rest: str = "") -> str:
    return textwrap.fill(paragraph, 100, initial_indent=first, subsequent_indent=rest)


def _words(field: Field) -> str:
    symbol = f" {field.symbol}" if field.symbol else ""
    unit = f" ({field.unit})" if field.unit else ""
    help_ = f" {field.help}" if field.help else ""
    return f"{field.label.lower()}{symbol}{unit}, {field.allowed}.{help_}"
