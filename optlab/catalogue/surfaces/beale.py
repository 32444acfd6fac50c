"""Beale's function."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface

if TYPE_CHECKING:
    import torch


class Beale(Surface):
    """A minimum between flat arms and steep corners.

    Slopes differ by five orders of magnitude within the square; with a rate that is safe in the
    corners, descent crawls near the minimum.
    """

    name: ClassVar[str] = "beale"
    label: ClassVar[str] = "Beale"
    group: ClassVar[str] = "Test functions"
    sort_order: ClassVar[int] = 320
    rule: ClassVar[tuple[str, ...]] = (
        r"f(x, y) = (1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2",
    )
    source: ClassVar[str] = "E. Beale (1958)."
    lr: ClassVar[float] = 0.01
    logarithmic: ClassVar[bool] = True

    def domain(self) -> tuple[Interval, ...]:
        return ((-4.5, 4.5), (-4.5, 4.5))

    def starts(self) -> tuple[Start, ...]:
        return (Start("usual", (1.0, 1.0)), Start("on the flat", (-2.0, 0.5)))

    def known(self) -> tuple[Known, ...]:
        return (Known((3.0, 0.5), 0.0), Known((0.0, 1.0), 14.203125, "saddle"))

    def value(self, points: torch.Tensor) -> torch.Tensor:
        x, y = points[..., 0], points[..., 1]
        return (
            (1.5 - x + x * y).square()
            + (2.25 - x + x * y.square()).square()
            + (2.625 - x + x * y**3).square()
        )
