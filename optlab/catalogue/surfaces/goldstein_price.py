"""The function of Goldstein and Price."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface

if TYPE_CHECKING:
    import torch


class GoldsteinPrice(Surface):
    """Four minima in a narrow cross, on a surface that rises to a million within the square.

    Gradients span seven orders of magnitude: clipping, or a method that divides by their size, is
    almost indispensable.
    """

    name: ClassVar[str] = "goldstein_price"
    label: ClassVar[str] = "Goldstein–Price"
    group: ClassVar[str] = "Test functions"
    sort_order: ClassVar[int] = 360
    rule: ClassVar[tuple[str, ...]] = (
        r"f(x, y) = a\, b",
        r"a = 1 + (x + y + 1)^2 (19 - 14x + 3x^2 - 14y + 6xy + 3y^2)",
        r"b = 30 + (2x - 3y)^2 (18 - 32x + 12x^2 + 48y - 36xy + 27y^2)",
    )
    source: ClassVar[str] = "A. Goldstein, J. Price (1971)."
    lr: ClassVar[float] = 0.00001
    logarithmic: ClassVar[bool] = True

    def domain(self) -> tuple[Interval, ...]:
        return ((-2.0, 2.0), (-2.0, 2.0))

    def starts(self) -> tuple[Start, ...]:
        return (Start("usual", (-0.5, 0.25)), Start("beside the lowest", (0.5, -1.5)))

    def known(self) -> tuple[Known, ...]:
        return (
            Known((0.0, -1.0), 3.0),
            Known((-0.6, -0.4), 30.0),
            Known((1.8, 0.2), 84.0),
            Known((1.2, 0.8), 840.0),
        )

    def value(self, points: torch.Tensor) -> torch.Tensor:
        x, y = points[..., 0], points[..., 1]
        first = 1.0 + (x + y + 1.0).square() * (
            19.0 - 14.0 * x + 3.0 * x * x - 14.0 * y + 6.0 * x * y + 3.0 * y * y
        )
        second = 30.0 + (2.0 * x - 3.0 * y).square() * (
            18.0 - 32.0 * x + 12.0 * x * x + 48.0 * y - 36.0 * x * y + 27.0 * y * y
        )
        return first * second
