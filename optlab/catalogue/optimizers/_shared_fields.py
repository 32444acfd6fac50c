"""Fields that many rules share, each declared once: learning rate, decay rates, small constants.

A declaration fixes the label, the symbol and the bounds; the default, the help and the slider are
the rule's own. The same declarations describe the arguments of torch's optimizers
(:mod:`optlab.catalogue.optimizers._bridge.fields`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optlab.core.fields import number


@dataclass(frozen=True)
class NumberDeclaration:
    """A number field without its default.

    Attributes:
        label: label of the field.
        arguments: further arguments of :func:`optlab.core.fields.number`.
    """

    label: str
    arguments: Mapping[str, Any]

    def __call__(self, default: float, **arguments: Any) -> Any:
        """Return the field with this default; ``arguments`` replace those of the declaration."""
        return number(default, self.label, **self.changed(**arguments))

    def changed(self, **arguments: Any) -> dict[str, Any]:
        """Return the declaration's arguments with replacements; None removes one."""
        merged = {**self.arguments, **arguments}
        return {name: value for name, value in merged.items() if value is not None}


def _decay(label: str, symbol: str, **arguments: Any) -> NumberDeclaration:
    """Return the declaration of a share in [0, 1)."""
    shared = dict(symbol=symbol, ge=0.0, lt=1.0, slider=(0.0, 0.999))
    return NumberDeclaration(label, {**shared, **arguments})


learning_rate = NumberDeclaration(
    "Learning rate", dict(symbol="ε", gt=0.0, log=True, slider=(1e-6, 1.0))
)
small_constant = NumberDeclaration(
    "Small constant", dict(symbol="δ", gt=0.0, log=True, slider=(1e-12, 1e-2))
)
weight_decay = NumberDeclaration(
    "Weight decay",
    dict(
        symbol="λ",
        ge=0.0,
        slider=(0.0, 0.5),
        help="Each step shrinks every parameter by this share times the learning rate.",
    ),
)
momentum = _decay("Momentum", "α")
decay = _decay("Decay", "ρ")
"""Decay rate of a running mean."""
first_moment_decay = _decay(
    "Decay of the first moment",
    "ρ₁",
    help="Share of the running mean of gradients that a step keeps.",
)
second_moment_decay = _decay(
    "Decay of the second moment",
    "ρ₂",
    slider=(0.9, 0.9999),
    help="Share of the running mean of squared gradients that a step keeps.",
)
line_search_accuracy = NumberDeclaration(
    "Line search accuracy",
    dict(
        symbol="c₂",
        gt=0.0,
        lt=1.0,
        log=True,
        slider=(1e-4, 0.95),
        help="The search ends where the slope along the direction is at most this share of the"
        " slope"
        " at the start. Smaller values are more exact and cost more evaluations.",
        why="The directions are well scaled, so a step length of 1 is usually accepted and a more"
        " exact search does not pay.",
    ),
)
