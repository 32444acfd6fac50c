"""A maximum of one variable (Fig 4.2)."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface
from optlab.core.lazy import torch


class Maximum(Surface):
    """A critical point that is higher than all its neighbors.

    Descent leaves it after the slightest perturbation. Newton's method converges to it, because it
    only searches for a point where the slope is zero.
    """

    name: ClassVar[str] = "maximum"
    label: ClassVar[str] = "Maximum"
    group: ClassVar[str] = "One variable"
    sort_order: ClassVar[int] = 30
    rule: ClassVar[tuple[str, ...]] = (r"f(x) = e^{-x^2 / 2}",)
    source: ClassVar[str] = "Notes, Fig 4.2."
    note: ClassVar[str] = "Near the top, gradient descent slides off and Newton's method climbs."

    def domain(self) -> tuple[Interval, ...]:
        return ((-3.0, 3.0),)

    def starts(self) -> tuple[Start, ...]:
        return (Start("near the top", (0.3,)), Start("on the slope", (-1.5,)))

    def known(self) -> tuple[Known, ...]:
        return (Known((0.0,), 1.0, "maximum"),)

    def value(self, points: torch.Tensor) -> torch.Tensor:
        return torch.exp(-0.5 * points[..., 0].square())
