"""A mountain between two asymptotes (Fig 8.4)."""

from __future__ import annotations

import math
from typing import ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface
from optlab.core.lazy import torch

_HEIGHT = 2.0


class Mountain(Surface):
    """Two asymptotes, the lower one on the right, with a mountain between them.

    Local moves give no information about the other side. There is neither a minimum nor a saddle;
    the summit is the only critical point. On the wrong side every step downhill leads away from the
    lower values. In two dimensions a path can go around the mountain, more than twice as long as
    the distance that it covers.
    """

    name: ClassVar[str] = "mountain"
    label: ClassVar[str] = "Mountain"
    group: ClassVar[str] = "What makes it hard"
    sort_order: ClassVar[int] = 220
    rule: ClassVar[tuple[str, ...]] = (r"f(x, y) = \frac{2\, e^{-y^2 / 2}}{\cosh^2 x} - \tanh x",)
    source: ClassVar[str] = "Notes, Fig 8.4."
    lr: ClassVar[float] = 1.0
    note: ClassVar[str] = (
        "On the axis, descent ends on the higher asymptote; off the axis it goes around. Compare "
        "the length of its path with the distance covered."
    )

    def domain(self) -> tuple[Interval, ...]:
        return ((-6.0, 6.0), (-4.0, 4.0))

    def starts(self) -> tuple[Start, ...]:
        return (
            Start("on the wrong side", (-1.0, 0.0)),
            Start("on the wrong side, off the axis", (-0.8, 0.1)),
            Start("on the right side", (0.3, 0.1)),
        )

    def known(self) -> tuple[Known, ...]:
        # On the axis f' = −(2h tanh x + 1) / cosh²x, which is zero where tanh x = −1 / 2h;
        # elsewhere the slope along y is not zero.
        tangent = -0.5 / _HEIGHT
        return (
            Known((math.atanh(tangent), 0.0), _HEIGHT * (1.0 - tangent**2) - tangent, "maximum"),
        )

    def value(self, points: torch.Tensor) -> torch.Tensor:
        x, y = points[..., 0], points[..., 1]
        # 1/cosh²x as 4σ(2x)σ(−2x): finite for every x.
        bump = 4.0 * torch.sigmoid(2.0 * x) * torch.sigmoid(-2.0 * x)
        return _HEIGHT * torch.exp(-0.5 * y.square()) * bump - torch.tanh(x)
