"""A quadratic with a chosen condition number (Fig 8.5)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface
from optlab.core.fields import number

if TYPE_CHECKING:
    import torch


class Quadratic(Surface):
    """A long canyon with steep sides: curvature 1 along it and κ across.

    Gradient descent needs a rate of at most 2/κ for the steep direction, and spends its time going
    from side to side; momentum accumulates the common component of the steps. Newton's method
    converges in one step for any κ.
    """

    name: ClassVar[str] = "quadratic"
    label: ClassVar[str] = "Quadratic"
    group: ClassVar[str] = "Critical points"
    sort_order: ClassVar[int] = 110
    rule: ClassVar[tuple[str, ...]] = (
        r"f(x, y) = \frac{1}{2} \left( u^2 + \kappa\, w^2 \right)",
        r"u = x \cos\phi + y \sin\phi,\quad w = y \cos\phi - x \sin\phi",
    )
    symbols: ClassVar[dict[str, str]] = {
        "u": "coordinate along the canyon",
        "w": "coordinate across it",
    }
    source: ClassVar[str] = "Notes, Fig 8.5."
    note: ClassVar[str] = (
        "The canyon of Fig 8.5: gradient descent goes from side to side, momentum runs along it."
    )

    condition: float = number(
        5.0,
        "Condition number",
        symbol="κ",
        ge=1.0,
        le=1e8,
        log=True,
        slider=(1.0, 1000.0),
        help="Ratio of the largest to the smallest curvature; the smallest is 1.",
        why="As in Fig 8.5.",
    )
    angle: float = number(
        -45.0,
        "Angle",
        symbol="φ",
        unit="degrees",
        ge=-180.0,
        le=180.0,
        slider=(-90.0, 90.0),
        help="Rotation of the canyon from the x-axis.",
        why="As in Fig 8.5: steepest along (1, 1).",
    )

    def domain(self) -> tuple[Interval, ...]:
        return ((-30.0, 30.0), (-30.0, 30.0))

    def starts(self) -> tuple[Start, ...]:
        turn = math.radians(self.angle)
        u, w = -25.0, 12.0
        return (
            Start(
                "on the side of the canyon",
                (u * math.cos(turn) - w * math.sin(turn), u * math.sin(turn) + w * math.cos(turn)),
            ),
        )

    def known(self) -> tuple[Known, ...]:
        return (Known((0.0, 0.0), 0.0),)

    def value(self, points: torch.Tensor) -> torch.Tensor:
        x, y = points[..., 0], points[..., 1]
        turn = math.radians(self.angle)
        u, w = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
        return 0.5 * (u.square() + self.condition * w.square())
