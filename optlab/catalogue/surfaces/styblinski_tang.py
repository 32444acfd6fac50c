"""The function of Styblinski and Tang."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface

if TYPE_CHECKING:
    import torch


class StyblinskiTang(Surface):
    """Four minima of different depth, one in each quadrant, around a maximum near the origin.

    The variables do not interact, so each of the nine critical points is a pair of critical points
    of the same quartic.
    """

    name: ClassVar[str] = "styblinski_tang"
    label: ClassVar[str] = "Styblinski–Tang"
    group: ClassVar[str] = "Test functions"
    sort_order: ClassVar[int] = 370
    rule: ClassVar[tuple[str, ...]] = (
        r"f(x, y) = \frac{1}{2} \left( x^4 - 16 x^2 + 5 x + y^4 - 16 y^2 + 5 y \right)",
    )
    source: ClassVar[str] = "M. Styblinski, T. Tang (1990)."
    lr: ClassVar[float] = 0.01

    def domain(self) -> tuple[Interval, ...]:
        return ((-5.0, 5.0), (-5.0, 5.0))

    def starts(self) -> tuple[Start, ...]:
        return (Start("usual", (0.5, 0.5)), Start("above the lowest", (-4.5, -4.5)))

    def known(self) -> tuple[Known, ...]:
        return (Known((-2.903534027771177, -2.903534027771177), -78.332331406810),)

    def value(self, points: torch.Tensor) -> torch.Tensor:
        squares = points.square()
        return 0.5 * (squares.square() - 16.0 * squares + 5.0 * points).sum(dim=-1)
