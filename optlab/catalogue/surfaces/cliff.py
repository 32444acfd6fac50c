"""A cliff (Fig 8.3)."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.surfaces.base import Interval, Start, Surface
from optlab.core.fields import number
from optlab.core.lazy import torch


class Cliff(Surface):
    """Gentle slopes that lead to a wall, over its edge from above and to its foot from below.

    On the face of the wall the gradient is tens of times that of the slopes, and one step of
    gradient descent throws the parameters far away. Clipping bounds the step: its direction is
    right, only its length cannot be trusted. The wall is curved, as on the surfaces of recurrent
    networks, and the lowest values lie along its foot.
    """

    name: ClassVar[str] = "cliff"
    label: ClassVar[str] = "Cliff"
    group: ClassVar[str] = "What makes it hard"
    sort_order: ClassVar[int] = 210
    rule: ClassVar[tuple[str, ...]] = (
        r"f(x, y) = h\, \sigma\left( \frac{x - y^2 / 10}{w} \right) + \sqrt{\frac{1}{100} + x^2} "
        r"+ \frac{1}{4} y^2",
    )
    symbols: ClassVar[dict[str, str]] = {"σ": "logistic sigmoid"}
    source: ClassVar[str] = "Notes, Fig 8.3; R. Pascanu, T. Mikolov, Y. Bengio (2013)."
    lr: ClassVar[float] = 0.35
    threshold: ClassVar[float] = 1.0
    note: ClassVar[str] = "Start from above and from below, each with and without clipping by norm."

    height: float = number(
        8.0, "Height", symbol="h", gt=0.0, le=1e4, slider=(0.5, 20.0), help="Height of the wall."
    )
    width: float = number(
        0.05,
        "Width",
        symbol="w",
        ge=1e-4,
        le=10.0,
        log=True,
        slider=(0.01, 1.0),
        help="Width of the wall's face; the largest slope is h/4w.",
        why="Steep compared with the slopes of about 1, and smooth enough for second derivatives.",
    )

    def domain(self) -> tuple[Interval, ...]:
        return ((-5.0, 3.0), (-2.0, 2.0))

    def starts(self) -> tuple[Start, ...]:
        return (Start("from above", (2.5, 1.0)), Start("from below", (-3.0, 1.5)))

    def value(self, points: torch.Tensor) -> torch.Tensor:
        x, y = points[..., 0], points[..., 1]
        wall = self.height * torch.sigmoid((x - 0.1 * y.square()) / self.width)
        return wall + torch.sqrt(0.01 + x.square()) + 0.25 * y.square()
