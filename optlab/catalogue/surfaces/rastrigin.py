"""Rastrigin's function."""

from __future__ import annotations

import math
from typing import ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface
from optlab.core.lazy import torch


class Rastrigin(Surface):
    """An egg carton on a bowl: a minimum near every pair of integers, the lowest at the origin.

    Local moves end in the nearest dent. Noise, a population or a smoothed objective can follow the
    bowl.
    """

    name: ClassVar[str] = "rastrigin"
    label: ClassVar[str] = "Rastrigin"
    group: ClassVar[str] = "Test functions"
    sort_order: ClassVar[int] = 340
    rule: ClassVar[tuple[str, ...]] = (
        r"f(x, y) = 20 + x^2 - 10 \cos 2\pi x + y^2 - 10 \cos 2\pi y",
    )
    source: ClassVar[str] = "L. Rastrigin (1974)."
    lr: ClassVar[float] = 0.002

    def domain(self) -> tuple[Interval, ...]:
        return ((-5.12, 5.12), (-5.12, 5.12))

    def starts(self) -> tuple[Start, ...]:
        return (Start("usual", (3.3, -2.7)), Start("near the lowest", (0.4, 0.4)))

    def known(self) -> tuple[Known, ...]:
        return (Known((0.0, 0.0), 0.0),)

    def value(self, points: torch.Tensor) -> torch.Tensor:
        return (10.0 + points.square() - 10.0 * torch.cos(2.0 * math.pi * points)).sum(dim=-1)
