"""Ackley's function."""

from __future__ import annotations

import math
from typing import ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface
from optlab.core.lazy import torch


class Ackley(Surface):
    """A nearly flat plain with many dents, and a funnel in its middle that ends in a point.

    The function is not differentiable at the minimum, so gradient descent comes to rest there at no
    rate; its gradient there is set to zero.
    """

    name: ClassVar[str] = "ackley"
    label: ClassVar[str] = "Ackley"
    group: ClassVar[str] = "Test functions"
    sort_order: ClassVar[int] = 350
    rule: ClassVar[tuple[str, ...]] = (
        r"f(x, y) = 20 + e - 20\, e^{-0.2 \sqrt{(x^2 + y^2) / 2}} - "
        r"e^{(\cos 2\pi x + \cos 2\pi y) / 2}",
    )
    source: ClassVar[str] = "D. Ackley, A Connectionist Machine for Genetic Hillclimbing (1987)."
    lr: ClassVar[float] = 0.02

    def domain(self) -> tuple[Interval, ...]:
        return ((-5.0, 5.0), (-5.0, 5.0))

    def starts(self) -> tuple[Start, ...]:
        return (Start("usual", (3.4, 2.3)), Start("in the funnel", (0.5, -0.3)))

    def known(self) -> tuple[Known, ...]:
        return (Known((0.0, 0.0), 0.0, "kink"),)

    def value(self, points: torch.Tensor) -> torch.Tensor:
        mean = points.square().mean(dim=-1)
        at_minimum = mean == 0.0
        # The root has no derivative at zero; the inner where keeps its infinity out of the graph.
        distance = torch.where(at_minimum, 0.0, torch.where(at_minimum, 1.0, mean).sqrt())
        waves = torch.cos(2.0 * math.pi * points).mean(dim=-1)
        return -20.0 * torch.expm1(-0.2 * distance) - math.e * torch.expm1(waves - 1.0)
