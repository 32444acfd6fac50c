"""Rosenbrock's valley."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface

if TYPE_CHECKING:
    import torch


class Rosenbrock(Surface):
    """A curved valley: easy to enter and slow to follow.

    The condition number at the minimum is about 2500, and the eigenvectors turn along the valley,
    so no fixed rescaling of the axes helps.
    """

    name: ClassVar[str] = "rosenbrock"
    label: ClassVar[str] = "Rosenbrock"
    group: ClassVar[str] = "Test functions"
    sort_order: ClassVar[int] = 310
    rule: ClassVar[tuple[str, ...]] = (r"f(x, y) = (1 - x)^2 + 100\, (y - x^2)^2",)
    source: ClassVar[str] = "H. Rosenbrock (1960)."
    lr: ClassVar[float] = 0.001
    logarithmic: ClassVar[bool] = True

    def domain(self) -> tuple[Interval, ...]:
        return ((-2.0, 2.0), (-1.0, 3.0))

    def starts(self) -> tuple[Start, ...]:
        return (Start("usual", (-1.2, 1.0)), Start("at the head of the valley", (-1.5, 2.5)))

    def known(self) -> tuple[Known, ...]:
        return (Known((1.0, 1.0), 0.0),)

    def value(self, points: torch.Tensor) -> torch.Tensor:
        x, y = points[..., 0], points[..., 1]
        return (1.0 - x).square() + 100.0 * (y - x.square()).square()
