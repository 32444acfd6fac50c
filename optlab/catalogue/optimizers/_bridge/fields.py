"""Arguments of a constructor as fields, and the fields' values as arguments again.

A number, a switch or a listed text is one field; a tuple of numbers is a field each (``betas`` are
``beta1`` and ``beta2``). What cannot be a field (None, functions, tables) and what says how torch
computes rather than what (``foreach``) stays at its default and is named on the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._bridge.signatures import NO_DEFAULT, Argument
from optlab.core.fields import choice, flag, integer, number

FIXED = frozenset({"foreach", "fused", "capturable", "differentiable", "maximize"})
"""Arguments that stay at torch's defaults: ways of computing, and climbing instead of descending.
"""

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
            help="Shrink the parameters directly, as AdamW does, instead of adding the penalty's gradient to the gradient."
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
            help="Share of the gradient that does not enter the velocity.",
        ),
    ),
    "nesterov": (
        "Nesterov",
        dict(help="Look ahead along the velocity, in torch's rearranged form."),
    ),
    "amsgrad": (
        "AMSGrad",
        dict(help="Divide by the largest second moment so far instead of the present one."),
    ),
    "rho": (
        "Decay of the squares",
        dict(
            symbol="ρ",
            ge=0.0,
            le=1.0,
            slider=(0.0, 0.9999),
            help="How long squares are remembered.",
        ),
    ),
    "centered": (
        "Centered",
        dict(
            help="Subtract the squared mean of the gradient, so that its variance is what is divided by."
        ),
    ),
    "lr_decay": (
        "Decay of the rate",
        dict(
            ge=0.0,
            slider=(0.0, 1.0),
            help="The rate is divided by 1 + this times the number of steps before.",
        ),
    ),
    "momentum_decay": (
        "Growth of the momentum",
        dict(
            symbol="ψ",
            ge=0.0,
            slider=(0.0, 0.1),
            help="How fast the momentum grows to its final value.",
        ),
    ),
}
_OF_CLASS: Mapping[tuple[str, str], Description] = {
    ("RMSprop", "alpha"): (
        "Decay of the squares",
        dict(symbol="ρ", help="How long squared gradients are remembered.", **_DECAY),
    ),
    ("ASGD", "alpha"): (
        "Power of the decay",
        dict(ge=0.0, slider=(0.0, 1.0), help="Power with which the rate falls over the steps."),
    ),
    ("ASGD", "lambd"): (
        "Decay term",
        dict(
            symbol="λ",
            ge=0.0,
            slider=(0.0, 0.1),
            help="Pull towards zero, and how early the rate begins to fall.",
        ),
    ),
    ("ASGD", "t0"): (
        "Start of the average",
        dict(
            ge=0.0,
            unit="steps",
            help="Step from which torch keeps an average of the parameters beside them.",
        ),
    ),
    ("Adagrad", "initial_accumulator_value"): (
        "First sum",
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
            help="Least squared update before the root; 0 takes the precision's own machine epsilon, as torch does by default.",
        ),
    ),
    ("Adafactor", "eps2"): (
        "Least size of a tensor",
        dict(
            symbol="δ₂",
            ge=0.0,
            help="The step is relative to a tensor's root mean square, at least this.",
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
        "Shrinking",
        dict(
            symbol="η₋",
            gt=0.0,
            lt=1.0,
            slider=(0.05, 0.95),
            help="Factor where the gradient changes its sign.",
        ),
    ),
    ("Rprop", "eta2"): (
        "Growth",
        dict(
            symbol="η₊",
            gt=1.0,
            slider=(1.01, 2.0),
            help="Factor where the gradient keeps its sign.",
        ),
    ),
    ("Rprop", "step_size1"): (
        "Least step",
        dict(gt=0.0, log=True, slider=(1e-9, 1e-2), help="Smallest size of a value's step."),
    ),
    ("Rprop", "step_size2"): (
        "Largest step",
        dict(gt=0.0, log=True, slider=(1e-3, 1e3), help="Largest size of a value's step."),
    ),
    ("Muon", "ns_coefficient1"): (
        "First coefficient",
        dict(symbol="a", help="Coefficient of X in the polynomial that is iterated."),
    ),
    ("Muon", "ns_coefficient2"): (
        "Second coefficient",
        dict(symbol="b", help="Coefficient of XXᵀX in the polynomial that is iterated."),
    ),
    ("Muon", "ns_coefficient3"): (
        "Third coefficient",
        dict(symbol="c", help="Coefficient of XXᵀXXᵀX in the polynomial that is iterated."),
    ),
    ("Muon", "ns_steps"): (
        "Newton–Schulz steps",
        dict(
            ge=1, le=99, slider=(1, 10), help="Iterations that make the momentum nearly orthogonal."
        ),
    ),
    ("Muon", "adjust_lr_fn"): (
        "Scale of the rate",
        dict(
            help="original scales by the root of rows over columns where above 1; match_rms_adamw makes updates as large as AdamW's."
        ),
    ),
}
_CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("Muon", "adjust_lr_fn"): ("original", "match_rms_adamw")
}
_ZERO_FOR_NONE = frozenset({("Adafactor", "eps1")})
"""Fields of torch whose None (a default of its own making) is written 0."""


@dataclass(frozen=True)
class Binding:
    """An argument and the fields that hold it; ``bundled``: whether it is a tuple of them.
    ``none``: fields whose 0 stands for None.
    """

    argument: str
    fields: tuple[str, ...]
    bundled: bool
    none: frozenset[str] = frozenset()

    def value(self, values: Mapping[str, Any]) -> Any:
        """The argument's value from the fields' values."""
        found = tuple(
            None if name in self.none and values[name] == 0.0 else values[name]
            for name in self.fields
        )
        return found if self.bundled else found[0]


@dataclass(frozen=True)
class Declared:
    """What an argument becomes: the fields' annotations and declarations by name (none where it
    stays fixed), and the binding.
    """

    annotations: Mapping[str, Any]
    declarations: Mapping[str, Any]
    binding: Binding | None


def declare(cls: str, argument: Argument, reserved: frozenset[str], known: bool) -> Declared:
    """The fields of one argument of class ``cls``.

    Args:
        reserved: names that a field cannot have. known: whether it is a class of torch's own, of
            which more is known than the name.
    """
    nothing = Declared({}, {}, None)
    default = argument.default
    if argument.name in FIXED or argument.name.startswith("_"):
        return nothing
    if default == NO_DEFAULT and argument.name == "lr":
        default = 0.01
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
    for name, given in zip(names, parts, strict=True):
        choices = _CHOICES.get((cls, name), ()) if known else ()
        part = given
        if known and (cls, name) in _ZERO_FOR_NONE:
            none.add(name)
            part = given or 0.0
        label, extra = _described(cls, argument.name, name, known)
        if choices:
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
        elif isinstance(part, int | float):
            annotations[name] = float
            declarations[name] = number(float(part), label, **_allowed(extra, part))
        else:
            return nothing
    if not names:
        return nothing
    return Declared(
        annotations, declarations, Binding(argument.name, tuple(names), bundled, frozenset(none))
    )


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
            dict(help=f"The argument {argument} of {cls}; its package says what it does."),
        )
    return label, dict(extra)


def _allowed(extra: dict[str, Any], default: float) -> dict[str, Any]:
    """``extra`` without the bounds that the class's own default would break: its author knows
    better than a rule of thumb.
    """
    kept = dict(extra)
    low, high = kept.get("ge", kept.get("gt")), kept.get("le", kept.get("lt"))
    broken = (low is not None and (default < low or default == kept.get("gt"))) or (
        high is not None and (default > high or default == kept.get("lt"))
    )
    if broken:
        for bound in ("ge", "gt", "le", "lt", "slider", "log"):
            kept.pop(bound, None)
    return kept
