"""The parabola ½x² (Fig 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface

if TYPE_CHECKING:
    import torch


class Parabola(Surface):
    """The function whose derivative is x itself: following it downhill leads to zero.

    Left of the minimum the derivative is negative and the step goes right; on the right it is the
    other way around. Gradient descent multiplies x by 1 − ε at each step, so it converges for ε
    below 2, and in one step for ε = 1.
    """

    name: ClassVar[str] = "parabola"
    label: ClassVar[str] = "Parabola ½x²"
    group: ClassVar[str] = "One variable"
    sort_order: ClassVar[int] = 10
    rule: ClassVar[tuple[str, ...]] = (r"f(x) = \frac{1}{2} x^2",)
    source: ClassVar[str] = "Notes, Fig 4.1."
    note: ClassVar[str] = "The derivative gives the direction; try ε = 0.1, 1, 1.9 and 2.1."

    def domain(self) -> tuple[Interval, ...]:
        return ((-2.0, 2.0),)

    def starts(self) -> tuple[Start, ...]:
        return (Start("from the right", (1.8,)), Start("from the left", (-1.8,)))

    def known(self) -> tuple[Known, ...]:
        return (Known((0.0,), 0.0),)

    def value(self, points: torch.Tensor) -> torch.Tensor:
        return 0.5 * points[..., 0].square()
