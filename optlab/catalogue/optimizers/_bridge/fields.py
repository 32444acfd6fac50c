"""Conversion of constructor arguments to fields, and of field values to arguments.

A number, a boolean or a choice is one field; a tuple of numbers is one field per number (``betas``
becomes ``beta1`` and ``beta2``). Arguments that cannot be fields (None, functions, dictionaries)
and those that select an implementation (``foreach``) keep their defaults and are named on the page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._bridge.signatures import NO_DEFAULT, Argument
from optlab.core.fields import choice, flag, integer, number

FIXED = frozenset({"foreach", "fused", "capturable", "differentiable", "maximize"})
"""Arguments that keep torch's defaults: choices of implementation, and ``maximize``."""

Description = tuple[str, Mapping[str, Any]]
"""Label of a field, and further arguments of its declaration."""


def _shared(declaration: shared.NumberDeclaration, **arguments: Any) -> Description:
    """Return a shared declaration with replacements."""
    return declaration.label, declaration.changed(**arguments)


_DECAY_SLIDER = (0.0, 0.9999)
_DECAY = dict(ge=0.0, lt=1.0, slider=_DECAY_SLIDER)
_KNOWN: Mapping[str, Description] = {
    "lr": _shared(
        shared.learning_rate, slider=(1e-6, 10.0), help="Size of the step; schedules act on it."
    ),
    "beta1": _shared(shared.first_moment_decay, slider=_DECAY_SLIDER),
    "beta2": _shared(shared.second_moment_decay, slider=_DECAY_SLIDER),
    "beta3": ("Third decay", dict(help="Third of the decay rates.", **_DECAY)),
    "eps": _shared(
        shared.small_constant,
        gt=None,
        ge=0.0,
        log=None,
        slider=None,
        help="Keeps a division finite.",
    ),
    "weight_decay": _shared(shared.weight_decay, help="Pull of the parameters towards zero."),
    "decoupled_weight_decay": (
        "Decoupled weight decay",
        dict(
            help="Shrink the parameters directly, as AdamW does, instead of adding the gradient of"
            " the penalty."
        ),
    ),
    "momentum": _shared(
        shared.momentum, slider=_DECAY_SLIDER, help="Share of the velocity that a step keeps."
    ),
    "dampening": (
        "Dampening",
        dict(
            ge=0.0,
            le=1.0,
            slider=(0.0, 1.0),
            help="Share of the gradient that is not added to the velocity.",
        ),
    ),
    "nesterov": (
        "Nesterov",
        dict(help="Use Nesterov momentum, in the rearranged form of torch."),
    ),
    "amsgrad": (
        "AMSGrad",
        dict(help="Divide by the largest second moment so far instead of the current one."),
    ),
    "rho": (
        "Decay of the squares",
        dict(
            symbol="ρ",
            ge=0.0,
            le=1.0,
            slider=(0.0, 0.9999),
            help="Share of the running average of squares that a step keeps.",
        ),
    ),
    "centered": (
        "Centered",
        dict(
            help="Subtract the squared mean of the gradient, so that the step is divided by its"
            " standard deviation."
        ),
    ),
    "lr_decay": (
        "Decay of the rate",
        dict(
            ge=0.0,
            slider=(0.0, 1.0),
            help="The rate is divided by 1 + this value times the number of previous steps.",
        ),
    ),
    "momentum_decay": (
        "Growth of the momentum",
        dict(
            symbol="ψ",
            ge=0.0,
            slider=(0.0, 0.1),
            help="Speed at which the momentum grows to its final value.",
        ),
    ),
}
_OF_CLASS: Mapping[tuple[str, str], Description] = {
    ("RMSprop", "alpha"): (
        "Decay of the squares",
        dict(
            symbol="ρ",
            help="Share of the running average of squared gradients that a step keeps.",
            **_DECAY,
        ),
    ),
    ("ASGD", "alpha"): (
        "Power of the decay",
        dict(
            ge=0.0,
            slider=(0.0, 1.0),
            help="Power of the step number with which the rate decreases.",
        ),
    ),
    ("ASGD", "lambd"): (
        "Decay term",
        dict(
            symbol="λ",
            ge=0.0,
            slider=(0.0, 0.1),
            help="Pull of the parameters towards zero; also determines how early the rate begins"
            " to decrease.",
        ),
    ),
    ("ASGD", "t0"): (
        "Start of the average",
        dict(
            ge=0.0,
            unit="steps",
            help="Step from which torch keeps an average of the parameters as well.",
        ),
    ),
    ("Adagrad", "initial_accumulator_value"): (
        "Initial sum",
        dict(ge=0.0, help="Sum of the squared gradients before the first step."),
    ),
    ("Adafactor", "beta2_decay"): (
        "Power of the decay",
        dict(le=0.0, slider=(-1.0, 0.0), help="The second moment's decay is 1 − tᵖ with this p."),
    ),
    ("Adafactor", "eps1"): (
        "Small constant",
        dict(
            symbol="δ₁",
            ge=0.0,
            help="Minimum of the squared gradient; 0 stands for the machine epsilon of the"
            " precision, the default of torch.",
        ),
    ),
    ("Adafactor", "eps2"): (
        "Minimum size of a tensor",
        dict(
            symbol="δ₂",
            ge=0.0,
            help="The step is relative to the root mean square of a tensor, or to this value if"
            " that is smaller.",
        ),
    ),
    ("Adafactor", "d"): (
        "Clipping threshold",
        dict(
            ge=1.0,
            slider=(1.0, 10.0),
            help="Largest root mean square of an update before it is scaled down.",
        ),
    ),
    ("Rprop", "lr"): _shared(
        shared.learning_rate,
        slider=(1e-6, 10.0),
        help="First step size of every parameter. The rule adapts later sizes itself, so schedules"
        " have no effect.",
    ),
    ("Rprop", "eta1"): (
        "Decrease factor",
        dict(
            symbol="η₋",
            gt=0.0,
            lt=1.0,
            slider=(0.05, 0.95),
            help="Factor of the step size when the gradient changes sign.",
        ),
    ),
    ("Rprop", "eta2"): (
        "Increase factor",
        dict(
            symbol="η₊",
            gt=1.0,
            slider=(1.01, 2.0),
            help="Factor of the step size when the gradient keeps its sign.",
        ),
    ),
    ("Rprop", "step_size1"): (
        "Smallest step",
        dict(gt=0.0, log=True, slider=(1e-9, 1e-2), help="Minimum step size of a parameter."),
    ),
    ("Rprop", "step_size2"): (
        "Largest step",
        dict(gt=0.0, log=True, slider=(1e-3, 1e3), help="Maximum step size of a parameter."),
    ),
    ("Muon", "ns_coefficient1"): (
        "First coefficient",
        dict(symbol="a", help="Coefficient of X in the iterated polynomial."),
    ),
    ("Muon", "ns_coefficient2"): (
        "Second coefficient",
        dict(symbol="b", help="Coefficient of XXᵀX in the iterated polynomial."),
    ),
    ("Muon", "ns_coefficient3"): (
        "Third coefficient",
        dict(symbol="c", help="Coefficient of XXᵀXXᵀX in the iterated polynomial."),
    ),
    ("Muon", "ns_steps"): (
        "Newton–Schulz steps",
        dict(
            ge=1,
            le=99,
            slider=(1, 10),
            help="Number of iterations that make the momentum nearly orthogonal.",
        ),
    ),
    ("Muon", "adjust_lr_fn"): (
        "Scale of the rate",
        dict(
            help="original scales by the square root of rows over columns if above 1;"
            " match_rms_adamw makes updates as large as those of AdamW."
        ),
    ),
}
_CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("Muon", "adjust_lr_fn"): ("original", "match_rms_adamw")
}
_ZERO_FOR_NONE = frozenset({("Adafactor", "eps1")})
"""Fields whose value 0 stands for None, torch's automatic default."""


@dataclass(frozen=True)
class Binding:
    """An argument and the fields that hold its value.

    Attributes:
        argument: name of the argument.
        fields: names of the fields.
        bundled: whether the argument is a tuple of their values.
        none: fields whose value 0 stands for None.
    """

    argument: str
    fields: tuple[str, ...]
    bundled: bool
    none: frozenset[str] = frozenset()

    def value(self, values: Mapping[str, Any]) -> Any:
        """Return the value of the argument for values of the fields."""
        parts = tuple(
            None if name in self.none and values[name] == 0.0 else values[name]
            for name in self.fields
        )
        return parts if self.bundled else parts[0]

    def expression(self, values: Mapping[str, str]) -> str:
        """Return the argument as source, for the sources of the values of the fields."""
        parts = [
            f"{values[name]} or None" if name in self.none else values[name] for name in self.fields
        ]
        return f"({', '.join(parts)})" if self.bundled else parts[0]


@dataclass(frozen=True)
class Declared:
    """The fields of an argument.

    Attributes:
        annotations: field name → annotation; empty if the argument keeps its default.
        declarations: field name → declaration.
        binding: the argument and its fields; None if it keeps its default.
    """

    annotations: Mapping[str, Any]
    declarations: Mapping[str, Any]
    binding: Binding | None


def declare(cls: str, argument: Argument, reserved: frozenset[str], known: bool) -> Declared:
    """Return the fields of one argument.

    Args:
        cls: name of the class.
        argument: the argument.
        reserved: names that a field cannot have.
        known: whether it is a class of torch, whose arguments are described in this module.
    """
    unused = Declared({}, {}, None)
    default = argument.default
    if argument.name in FIXED or argument.name.startswith("_"):
        return unused
    if default == NO_DEFAULT:
        default = _guessed(argument)
    bundled = isinstance(default, tuple)
    parts = list(default) if bundled else [default]
    stem = argument.name if argument.name == "eps" else argument.name.removesuffix("s")
    names = (
        [f"{stem}{number}" for number in range(1, len(parts) + 1)] if bundled else [argument.name]
    )
    names = [
        f"{name}_value" if name in reserved or name.startswith("model_") else name for name in names
    ]
    annotations: dict[str, Any] = {}
    declarations: dict[str, Any] = {}
    none: set[str] = set()
    for name, value in zip(names, parts, strict=True):
        choices = _CHOICES.get((cls, name), ()) if known else literals(argument.annotation)
        part = value
        if known and (cls, name) in _ZERO_FOR_NONE:
            none.add(name)
            part = value or 0.0
        label, extra = _described(cls, argument.name, name, known)
        if choices and (known or part in choices):
            annotations[name] = Literal[choices]
            declarations[name] = choice(part or choices[0], label, **extra)
        elif isinstance(part, bool):
            annotations[name] = bool
            declarations[name] = flag(part, label, help=extra["help"])
        elif (
            isinstance(part, int)
            and not isinstance(part, bool)
            and "float" not in argument.annotation
            and not _is_real(name)
        ):
            annotations[name] = int
            declarations[name] = integer(part, label, **_allowed(extra, part))
        elif isinstance(part, int | float) and not math.isinf(part):
            annotations[name] = float
            declarations[name] = number(float(part), label, **_allowed(extra, part))
        else:
            return unused
    if not names:
        return unused
    return Declared(
        annotations, declarations, Binding(argument.name, tuple(names), bundled, frozenset(none))
    )


def literals(annotation: str) -> tuple[str, ...]:
    """Return the texts among which an annotation allows to choose: those of a ``Literal``."""
    inside = re.search(r"Literal\[([^\]]*)\]", annotation)
    found = re.findall(r"'([^']*)'|\"([^\"]*)\"", inside.group(1)) if inside else []
    return tuple(one or other for one, other in found)


_STEPS = ("num_iterations", "num_steps", "total_steps", "max_steps", "num_training_steps")


def _guessed(argument: Argument) -> Any:
    """Return a default for an argument that has none, if its name or its annotation suggest one."""
    if argument.name == "lr":
        return 0.01
    if argument.name in _STEPS:
        return 1000
    return {"int": 1, "float": 0.1, "bool": False}.get(argument.annotation, argument.default)


def _is_real(name: str) -> bool:
    return name in (
        "lr",
        "eps",
        "weight_decay",
        "momentum",
        "dampening",
        "rho",
        "lr_decay",
        "momentum_decay",
        "beta1",
        "beta2",
        "beta3",
    )


def _described(cls: str, argument: str, name: str, known: bool) -> tuple[str, dict[str, Any]]:
    if known and (cls, name) in _OF_CLASS:
        label, extra = _OF_CLASS[cls, name]
    elif name in _KNOWN:
        label, extra = _KNOWN[name]
    else:
        label, extra = (
            name.strip("_").replace("_", " ").capitalize() or name,
            dict(help=f"The argument {argument} of {cls}; see its package."),
        )
    return label, dict(extra)


def _allowed(extra: dict[str, Any], default: float) -> dict[str, Any]:
    """Return ``extra``, without its bounds if the default of the class violates them."""
    allowed = dict(extra)
    low, high = allowed.get("ge", allowed.get("gt")), allowed.get("le", allowed.get("lt"))
    violated = (low is not None and (default < low or default == allowed.get("gt"))) or (
        high is not None and (default > high or default == allowed.get("lt"))
    )
    if violated:
        for bound in ("ge", "gt", "le", "lt", "slider", "log"):
            allowed.pop(bound, None)
    return allowed
