"""A minimum of one variable (Fig 4.2)."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface
from optlab.core.lazy import torch


class Minimum(Surface):
    """A critical point that is lower than all its neighbors.

    The slope is zero and the curvature positive. Near the minimum the function is a parabola,
    farther out a straight line, so that the gradient never exceeds 1.
    """

    name: ClassVar[str] = "minimum"
    label: ClassVar[str] = "Minimum"
    group: ClassVar[str] = "One variable"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (r"f(x) = \sqrt{1 + x^2} - 1",)
    source: ClassVar[str] = "Notes, Fig 4.2."
    lr: ClassVar[float] = 0.5

    def domain(self) -> tuple[Interval, ...]:
        return ((-3.0, 3.0),)

    def starts(self) -> tuple[Start, ...]:
        return (Start("from the right", (2.5,)), Start("from the left", (-2.5,)))

    def known(self) -> tuple[Known, ...]:
        return (Known((0.0,), 0.0),)

    def value(self, points: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = torch.sqrt(1.0 + points[..., 0].square()) - 1.0
        return values
