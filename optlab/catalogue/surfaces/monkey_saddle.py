"""The monkey saddle."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface

if TYPE_CHECKING:
    import torch


class MonkeySaddle(Surface):
    """A saddle with three ways down, one for the tail, whose Hessian is zero.

    The eigenvalues say nothing about such a degenerate point; each step of Newton's method only
    halves the distance to it.
    """

    name: ClassVar[str] = "monkey_saddle"
    label: ClassVar[str] = "Monkey saddle"
    group: ClassVar[str] = "Critical points"
    sort_order: ClassVar[int] = 130
    rule: ClassVar[tuple[str, ...]] = (r"f(x, y) = x^3 - 3 x y^2",)
    source: ClassVar[str] = (
        "Notes, critical points; D. Hilbert, S. Cohn-Vossen, Geometry and the Imagination (1932)."
    )
    lr: ClassVar[float] = 0.02

    def domain(self) -> tuple[Interval, ...]:
        return ((-1.5, 1.5), (-1.5, 1.5))

    def starts(self) -> tuple[Start, ...]:
        return (Start("beside a ridge", (1.2, 0.01)), Start("on a slope", (0.8, 0.6)))

    def known(self) -> tuple[Known, ...]:
        return (Known((0.0, 0.0), 0.0, "degenerate"),)

    def value(self, points: torch.Tensor) -> torch.Tensor:
        x, y = points[..., 0], points[..., 1]
        return x**3 - 3.0 * x * y.square()
