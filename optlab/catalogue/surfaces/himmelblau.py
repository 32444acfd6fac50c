"""Himmelblau's function."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface

if TYPE_CHECKING:
    import torch


class Himmelblau(Surface):
    """Four minima of the same height around one maximum, with four saddles between them.

    Color the plane by the minimum that each start reaches: neighboring basins meet in lines through
    the saddles.
    """

    name: ClassVar[str] = "himmelblau"
    label: ClassVar[str] = "Himmelblau"
    group: ClassVar[str] = "Test functions"
    sort_order: ClassVar[int] = 330
    rule: ClassVar[tuple[str, ...]] = (r"f(x, y) = (x^2 + y - 11)^2 + (x + y^2 - 7)^2",)
    source: ClassVar[str] = "D. Himmelblau, Applied Nonlinear Programming (1972)."
    lr: ClassVar[float] = 0.01
    logarithmic: ClassVar[bool] = True

    def domain(self) -> tuple[Interval, ...]:
        return ((-5.0, 5.0), (-5.0, 5.0))

    def starts(self) -> tuple[Start, ...]:
        return (Start("usual", (0.0, 0.0)), Start("near the maximum", (-0.3, -0.9)))

    def known(self) -> tuple[Known, ...]:
        return (
            Known((3.0, 2.0), 0.0),
            Known((-2.805118086952745, 3.131312518250573), 0.0),
            Known((-3.779310253377747, -3.283185991286170), 0.0),
            Known((3.584428340330492, -1.848126526964404), 0.0),
            Known((-0.270844590667316, -0.923038522419463), 181.616521533, "maximum"),
        )

    def value(self, points: torch.Tensor) -> torch.Tensor:
        x, y = points[..., 0], points[..., 1]
        return (x.square() + y - 11.0).square() + (x + y.square() - 7.0).square()
