"""The cliff of a recurrent unit: the loss of the smallest recurrent network."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.surfaces.base import Interval, Start, Surface
from optlab.core.fields import integer, number
from optlab.core.lazy import torch


class RecurrentCliff(Surface):
    """The loss of one recurrent unit as a function of its two parameters: a natural cliff.

    The unit feeds itself for many time steps and should end at a target. The same weight is used at
    every time step, so the effect of a small change is repeated. Where the fixed points of the unit
    merge or split, its final state jumps from one to another: a wall, with nearly flat regions
    along its foot and edge.
    """

    name: ClassVar[str] = "recurrent_cliff"
    label: ClassVar[str] = "Cliff of a recurrent unit"
    group: ClassVar[str] = "What makes it hard"
    sort_order: ClassVar[int] = 215
    rule: ClassVar[tuple[str, ...]] = (
        r"x_t = w\, \sigma(x_{t-1}) + b,\quad x_0 = \frac{1}{2}",
        r"f(w, b) = \left( \sigma(x_T) - y \right)^2",
    )
    symbols: ClassVar[dict[str, str]] = {
        "σ": "logistic sigmoid",
        "w": "the recurrent weight, drawn to the right",
        "b": "the bias, drawn upwards",
    }
    source: ClassVar[str] = "Notes, Fig 8.3; R. Pascanu, T. Mikolov, Y. Bengio (2013), Fig 6."
    lr: ClassVar[float] = 2.0
    threshold: ClassVar[float] = 0.05
    note: ClassVar[str] = (
        "Compare with the cliff: clip the norm, and see how far the step onto the wall would have "
        "gone."
    )

    steps: int = integer(
        50,
        "Time steps",
        symbol="T",
        ge=1,
        le=1000,
        slider=(2, 100),
        help="Number of time steps; more make the wall steeper.",
    )
    target: float = number(
        0.7,
        "Target",
        symbol="y",
        ge=0.0,
        le=1.0,
        slider=(0.0, 1.0),
        help="Desired final output of the unit.",
    )

    def domain(self) -> tuple[Interval, ...]:
        return ((2.0, 8.0), (-5.0, 0.0))

    def starts(self) -> tuple[Start, ...]:
        return (Start("beside the wall", (5.5, -2.4)), Start("from below", (5.0, -3.5)))

    def value(self, points: torch.Tensor) -> torch.Tensor:
        weight, bias = points[..., 0], points[..., 1]
        x = torch.full_like(weight, 0.5)
        for _ in range(self.steps):
            x = weight * torch.sigmoid(x) + bias
        return (torch.sigmoid(x) - self.target).square()
