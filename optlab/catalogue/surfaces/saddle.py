"""The saddle x² − y² (Fig 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface

if TYPE_CHECKING:
    import torch


class Saddle(Surface):
    """Curved upward along one axis and downward along the other.

    Along the eigenvector of the positive eigenvalue the critical point is a minimum, along the
    other one a maximum. Gradient descent shrinks x and increases y at each step, so it leaves the
    saddle unless y is exactly zero; Newton's method jumps to the saddle from any point.
    """

    name: ClassVar[str] = "saddle"
    label: ClassVar[str] = "Saddle"
    group: ClassVar[str] = "Critical points"
    sort_order: ClassVar[int] = 120
    rule: ClassVar[tuple[str, ...]] = (r"f(x, y) = x^2 - y^2",)
    source: ClassVar[str] = "Notes, Fig 4.5."
    lr: ClassVar[float] = 0.05
    note: ClassVar[str] = (
        "Newton's method goes to the saddle, saddle-free Newton leaves it; gradient descent slows "
        "down and then leaves."
    )

    def domain(self) -> tuple[Interval, ...]:
        return ((-2.0, 2.0), (-2.0, 2.0))

    def starts(self) -> tuple[Start, ...]:
        return (
            Start("beside the ridge", (1.5, 0.001)),
            Start("on the ridge", (1.5, 0.0)),
            Start("on the slope", (1.2, 0.4)),
        )

    def known(self) -> tuple[Known, ...]:
        return (Known((0.0, 0.0), 0.0, "saddle"),)

    def value(self, points: torch.Tensor) -> torch.Tensor:
        return points[..., 0].square() - points[..., 1].square()
