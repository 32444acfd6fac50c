"""A wide plateau with a well in it."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface
from optlab.core.lazy import torch


class Plateau(Surface):
    """Flat nearly everywhere: the gradient has the right direction, but is too small.

    At distance 5 from the well the slope is 2·10⁻⁵, and the curvature has the wrong sign. Methods
    that divide the gradient by its own size cross the plateau at the speed of their rate; gradient
    descent and momentum hardly move, and Newton's method goes the other way.
    """

    name: ClassVar[str] = "plateau"
    label: ClassVar[str] = "Plateau"
    group: ClassVar[str] = "What makes it hard"
    sort_order: ClassVar[int] = 230
    rule: ClassVar[tuple[str, ...]] = (r"f(x, y) = 1 - e^{-(x^2 + y^2) / 2}",)
    source: ClassVar[str] = "Notes, plateaus and other flat regions."
    lr: ClassVar[float] = 0.1
    note: ClassVar[str] = "Race gradient descent, momentum, RMSProp and Adam from far out."

    def domain(self) -> tuple[Interval, ...]:
        return ((-6.0, 6.0), (-6.0, 6.0))

    def starts(self) -> tuple[Start, ...]:
        return (Start("far out", (4.0, 3.0)), Start("at the rim", (1.6, 1.2)))

    def known(self) -> tuple[Known, ...]:
        return (Known((0.0, 0.0), 0.0),)

    def value(self, points: torch.Tensor) -> torch.Tensor:
        # expm1 keeps the digits of small values near the well.
        return -torch.expm1(-0.5 * points.square().sum(dim=-1))
