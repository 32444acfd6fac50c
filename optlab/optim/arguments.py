"""Fields of a rule as arguments of a torch optimizer: names, signature, checks, documentation.

Names follow torch where they differ: ``betas`` bundles ``beta1`` and ``beta2``, because schedulers
expect it. Values are stored in torch's parameter groups, where schedulers change them, and are
converted to the hyperparameters of the rule at each step.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from optlab.catalogue.optimizers.base import Optimizer
from optlab.core.errors import InvalidInput
from optlab.core.fields import Field, shown
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment.pages import page
from optlab.optim.flat.fusible import fusible

_COMMON: Mapping[str, tuple[Any, Any, str]] = {
    "weight_decay": (
        0.0,
        float,
        "weight decay (L2 penalty), a number at least 0. The parameters times this value are added"
        " to the gradient, as in torch.optim.",
    ),
    "maximize": (False, bool, "maximize the objective instead of minimizing it."),
    "fused": (
        None,
        bool | None,
        "take a step in one loop over the parameters, which needs a C++ compiler, and float32 or"
        " float64 parameters on the CPU. The results have the same bits. None begins with ordinary"
        " steps; after 200 of them, or more where there are few parameters, a thread compiles the"
        " loop in about half a second, and later steps use it. Without a compiler they stay"
        " ordinary. True compiles it before the first step. Steps with a tensor as an argument are ordinary"
        " ones. The attribute fused_groups says how the last steps were taken.",
    ),
}
"""Arguments of every class: default, type and description.

A field of the rule with the same name replaces one, and only rules that a loop can do are fused.
"""


@dataclass(frozen=True)
class Argument:
    """An argument and the fields of the rule that it sets.

    Attributes:
        name: its name.
        fields: one field, or several that torch bundles in a tuple.
    """

    name: str
    fields: tuple[Field, ...]

    @property
    def bundled(self) -> bool:
        """Return whether the value is a tuple."""
        return self.name != self.fields[0].name

    @property
    def default(self) -> Any:
        """Return the default of the field, or a tuple of defaults."""
        return (
            tuple(field.default for field in self.fields)
            if self.bundled
            else self.fields[0].default
        )


@functools.cache
def arguments(rule: type[Optimizer]) -> tuple[Argument, ...]:
    """Return the arguments of the rule itself, ``lr`` first."""
    bundles = {name: argument for argument, names in rule.torch_arguments.items() for name in names}
    result: dict[str, Argument] = {}
    for field in sorted(rule.fields(), key=lambda field: field.name != "lr"):
        name = bundles.get(field.name, field.name)
        members = tuple(
            _declared(rule, member) for member in rule.torch_arguments.get(name, (field.name,))
        )
        result.setdefault(name, Argument(name, members))
    return tuple(result.values())


def _declared(rule: type[Optimizer], name: str) -> Field:
    """Return a field as an argument: as in torch, a rate may be zero.

    Parameters in a group with such a rate are frozen, and schedulers that warm up start there.
    """
    field = rule.field(name)
    return replace(field, gt=None, ge=0.0) if name == "lr" and field.gt == 0.0 else field


@functools.cache
def common(rule: type[Optimizer]) -> dict[str, tuple[Any, Any, str]]:
    """Return name → default, type and description of the arguments that all classes share."""
    without = {argument.name for argument in arguments(rule)}
    if not fusible(rule):
        without.add("fused")
    return {name: declared for name, declared in _COMMON.items() if name not in without}


def signature(rule: type[Optimizer]) -> inspect.Signature:
    """Return ``(params, lr=…, *, …, weight_decay=0.0, maximize=False, fused=None)``."""
    parameters = [inspect.Parameter("params", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for argument in arguments(rule):
        kind = (
            inspect.Parameter.POSITIONAL_OR_KEYWORD
            if argument.name == "lr"
            else inspect.Parameter.KEYWORD_ONLY
        )
        parameters.append(
            inspect.Parameter(
                argument.name, kind, default=argument.default, annotation=_annotation(argument)
            )
        )
    for name, (default, type_, _) in common(rule).items():
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=type_
            )
        )
    return inspect.Signature(parameters)


def in_words(accepted: inspect.Signature) -> str:
    """Return a signature as text, without annotations."""
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in accepted.parameters.values()
    ]
    return str(inspect.Signature(bare))


def defaults(accepted: inspect.Signature) -> dict[str, Any]:
    """Return argument → default, for the values of a parameter group."""
    return {
        name: parameter.default
        for name, parameter in accepted.parameters.items()
        if name != "params"
    }


def _annotation(argument: Argument) -> Any:
    types = {"number": float, "integer": int, "flag": bool, "choice": str, "text": str}
    members = tuple(types.get(field.kind, tuple) for field in argument.fields)
    return tuple[members] if argument.bundled else members[0]  # type: ignore[valid-type]


def check(rule: type[Optimizer], group: Mapping[str, Any]) -> None:
    """Validate the values of a parameter group with the declarations of the rule.

    Raises:
        ValueError: a value is not allowed; the message names the argument, the value and the
            allowed range.
    """
    values: dict[str, Any] = {}
    paths: dict[str, str] = {}
    allowed: dict[str, str] = {}
    for argument in arguments(rule):
        setting = group[argument.name]
        count = len(argument.fields)
        if argument.bundled and not (isinstance(setting, (tuple, list)) and len(setting) == count):
            raise ValueError(
                f"{rule.__name__}: {argument.name} is {shown(setting)}, but it must be a tuple of"
                f" {count} numbers."
            )
        for index, (field, value) in enumerate(
            zip(argument.fields, setting if argument.bundled else (setting,), strict=True)
        ):
            paths[field.name] = f"{argument.name}[{index}]" if argument.bundled else argument.name
            plain = _plain(rule, paths[field.name], value, field.kind)
            # Only the argument may be zero; the field keeps its bound.
            zero = field != rule.field(field.name) and not isinstance(plain, bool) and plain == 0
            values[field.name] = field.default if zero else plain
            allowed[field.name] = field.allowed
    try:
        rule.build(values, "")
    except InvalidInput as error:
        message = str(error)
        if error.field in paths:
            message = (
                f"{paths[error.field]} is {shown(values[error.field])}, but it must be"
                f" {allowed[error.field]}."
            )
        raise ValueError(f"{rule.__name__}: {message}") from None
    extra = common(rule)
    if "weight_decay" in extra:
        decay = _plain(rule, "weight_decay", group["weight_decay"], "number")
        if not isinstance(decay, float) or not math.isfinite(decay) or decay < 0.0:
            raise ValueError(
                f"{rule.__name__}: weight_decay is {shown(decay)}, but it must be a number at least"
                " 0."
            )
    for name, allowed_words in (("maximize", "true or false"), ("fused", "true, false or None")):
        if name in extra and not isinstance(group[name], bool | type(extra[name][0])):
            raise ValueError(
                f"{rule.__name__}: {name} is {shown(group[name])}, but it must be {allowed_words}."
            )


def _plain(rule: type[Optimizer], name: str, value: Any, kind: str) -> Any:
    """Return the number in a tensor of one element or a NumPy scalar, or any other value unchanged.

    The rule validates it.
    """
    if isinstance(value, torch.Tensor):
        if value.numel() != 1:
            raise ValueError(
                f"{rule.__name__}: {name} is a tensor of {value.numel()} elements; Tensor {name}"
                " must be 1-element."
            )
        value = value.item()
    if isinstance(value, bool):
        return value
    if kind == "number" and isinstance(value, numbers.Real):
        return float(value)
    return int(value) if isinstance(value, numbers.Integral) else value


def hyperparameters(rule: type[Optimizer], group: Mapping[str, Any]) -> Hyperparameters:
    """Return the hyperparameters of the rule from the current values of a parameter group.

    The caller sets ``step``.
    """
    values: dict[str, Any] = {}
    for argument in arguments(rule):
        setting = group[argument.name]
        for field, value in zip(
            argument.fields, setting if argument.bundled else (setting,), strict=True
        ):
            # A tensor without dimensions multiplies like a number, whatever its precision.
            values[field.name] = value.reshape(()) if isinstance(value, torch.Tensor) else value
    return Hyperparameters(**values)


def documentation(rule: type[Optimizer], module: str) -> str:
    """Return the docstring of the class of a rule in ``module``, from the page of the component."""
    described = page(rule)
    own = {field.symbol for field in rule.fields()}
    parts = [_wrapped(paragraph) for paragraph in (described.sentence, *described.explanation)]
    if described.rule:
        parts.append("Rule (LaTeX):\n" + "\n".join(f"    {line}" for line in described.rule))
    if described.symbols:
        parts.append(
            "Symbols:\n"
            + "\n".join(
                f"    {symbol}: {meaning.lower() if symbol in own else meaning}"
                for symbol, meaning in described.symbols
            )
        )
    lines = [
        "params (iterable): parameters to optimize, (name, parameter) pairs, or dicts that define"
        " parameter groups with their own values."
    ]
    lines += [
        f"{argument.name} ({_type_name(_annotation(argument))}, optional):"
        f" {'; '.join(_described(field) for field in argument.fields)}."
        f" Default: {argument.default!r}."
        for argument in arguments(rule)
    ]
    lines += [
        f"{name} ({_type_name(type_)}, optional): {text} Default: {default!r}."
        for name, (default, type_, text) in common(rule).items()
    ]
    parts.append("Args:\n" + "\n".join(_wrapped(line, "    ", "        ") for line in lines))
    parts.append(
        "Raises:\n"
        "    ValueError: a value is not allowed; the message says which, and what is allowed.\n"
        "    TypeError: an argument does not exist."
    )
    if rule.point is not Optimizer.point:
        parts.append(_LOOK_AHEAD)
    if described.differences:
        parts.append(_wrapped(f"Other libraries: {described.differences}"))
    if described.source:
        parts.append(_wrapped(f"Source: {described.source}"))
    parts.append(
        "Example:\n"
        f"    >>> optimizer = {module}.{rule.__name__}(model.parameters())\n"
        "    >>> optimizer.zero_grad()\n"
        "    >>> loss_function(model(x), y).backward()\n"
        "    >>> optimizer.step()"
    )
    return "\n\n".join(parts)


_LOOK_AHEAD = """Point of the gradient:
    This rule evaluates the gradient at an interim point ahead of the parameters θ.
    With a closure, step(closure) moves to that point, evaluates the closure once, and leaves the
    new θ in the module. Without a closure, the module holds the interim point between steps, so
    that loss.backward() is evaluated there, as in torch.optim; use "with optimizer.at_iterate():"
    to access θ itself. Both ways give the same sequence of θ while the arguments do not change.
    Call look_ahead() when you change from steps with a closure to steps without one."""


def _wrapped(paragraph: str, first: str = "", rest: str = "") -> str:
    return textwrap.fill(paragraph, 100, initial_indent=first, subsequent_indent=rest)


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _described(field: Field) -> str:
    symbol = f" {field.symbol}" if field.symbol else ""
    unit = f" ({field.unit})" if field.unit else ""
    help_ = f". {field.help.removesuffix('.')}" if field.help else ""
    return f"{field.label.lower()}{symbol}{unit}, {field.allowed}{help_}"
