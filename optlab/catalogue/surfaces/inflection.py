"""A saddle of one variable (Fig 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface

if TYPE_CHECKING:
    import torch


class Inflection(Surface):
    """A critical point with higher and lower neighbors: x³ near zero, bounded below on the left.

    Slope and curvature are both zero at x = 0, so the second derivative does not classify the
    point. Gradient descent from the right stops there, although lower values lie just beyond.
    """

    name: ClassVar[str] = "inflection"
    label: ClassVar[str] = "Saddle of one variable"
    group: ClassVar[str] = "One variable"
    sort_order: ClassVar[int] = 40
    rule: ClassVar[tuple[str, ...]] = (r"f(x) = x^3 + \frac{3}{4} x^4",)
    source: ClassVar[str] = "Notes, Fig 4.2."
    lr: ClassVar[float] = 0.05
    note: ClassVar[str] = (
        "Gradient descent stops at the inflection; momentum continues to the minimum at −1."
    )

    def domain(self) -> tuple[Interval, ...]:
        return ((-1.5, 1.0),)

    def starts(self) -> tuple[Start, ...]:
        return (Start("from the right", (0.9,)), Start("from the left", (-1.4,)))

    def known(self) -> tuple[Known, ...]:
        return (Known((-1.0,), -0.25), Known((0.0,), 0.0, "degenerate"))

    def value(self, points: torch.Tensor) -> torch.Tensor:
        x = points[..., 0]
        return x**3 * (1.0 + 0.75 * x)
