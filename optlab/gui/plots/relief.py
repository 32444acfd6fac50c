"""A function of two variables as pictures see it: heights on a grid, brought to a scale on which
both the valley and the walls can be told apart.

Losses often span many powers of ten: on a linear scale all but the highest walls would be one
color. Heights above the lowest are therefore drawn on a scale that is linear near it and
logarithmic far from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optlab.gui.plots.colors import PlotColors, mixed

Floats = NDArray[np.float64]

_ANCHORS = ("#26185f", "#2f4b9b", "#1f7a9c", "#22a884", "#8bd346", "#f5e626")
"""A perceptually ordered scale, dark for low: readable without red or green cones, and in gray."""


@dataclass(frozen=True)
class Relief:
    """Heights on a grid.

    Attributes:
        x: ``[nx]``, increasing. y: ``[ny]``, increasing. z: ``[ny, nx]``; NaN or infinite where the
            function has no value.
    """

    x: Floats
    y: Floats
    z: Floats

    def scale(self) -> Scale:
        """The scale that suits these heights."""
        finite = self.z[np.isfinite(self.z)]
        if not len(finite):
            return Scale(0.0, 1.0, 1.0)
        low, high = float(finite.min()), float(finite.max())
        if high <= low:
            return Scale(low, low + 1.0, 1.0)
        # Where half of the heights lie below a hundredth of the span, the linear part ends there.
        bend = float(np.median(finite)) - low
        return Scale(low, high, min(max(bend, 1e-9 * (high - low)), high - low))

    def heights_at(self, points: Floats) -> Floats:
        """Heights ``[n]`` at points ``[n, 2]``, between the grid's by straight lines; NaN outside."""
        column = np.interp(points[:, 0], self.x, np.arange(len(self.x)), left=np.nan, right=np.nan)
        row = np.interp(points[:, 1], self.y, np.arange(len(self.y)), left=np.nan, right=np.nan)
        inside = np.isfinite(column) & np.isfinite(row)
        found = np.full(len(points), np.nan)
        c, r = column[inside], row[inside]
        c0, r0 = (
            np.minimum(c.astype(int), len(self.x) - 2),
            np.minimum(r.astype(int), len(self.y) - 2),
        )
        u, v = c - c0, r - r0
        z = self.z
        found[inside] = (z[r0, c0] * (1 - u) + z[r0, c0 + 1] * u) * (1 - v) + (
            z[r0 + 1, c0] * (1 - u) + z[r0 + 1, c0 + 1] * u
        ) * v
        return found


@dataclass(frozen=True)
class Scale:
    """Height → share of the way from the lowest to the highest, ``[0, 1]``.

    Attributes:
        low, high: the ends. bend: height above ``low`` up to which the scale is about linear.
    """

    low: float
    high: float
    bend: float

    def share(self, z: Floats) -> Floats:
        """Heights of any shape as shares; what lies beyond the ends is at them, NaN stays."""
        top = np.log1p((self.high - self.low) / self.bend)
        with np.errstate(invalid="ignore", over="ignore"):
            clipped = np.clip(
                np.nan_to_num(z, nan=np.nan, posinf=self.high, neginf=self.low), self.low, self.high
            )
            shares: Floats = np.log1p((clipped - self.low) / self.bend) / top
        return shares

    def height(self, share: float) -> float:
        """The height at a share."""
        top = np.log1p((self.high - self.low) / self.bend)
        return float(self.low + self.bend * np.expm1(share * top))

    def levels(self, count: int) -> list[float]:
        """``count`` heights, evenly spread over the scale."""
        return [self.height((k + 0.5) / count) for k in range(count)]


def lookup(colors: PlotColors, steps: int = 256) -> NDArray[np.uint8]:
    """Colors ``[steps, 3]`` from low to high; softened towards the theme's background, so that
    paths stand out.
    """
    anchors = np.array(
        [_parts(mixed(anchor, colors.background, 0.32)) for anchor in _ANCHORS], dtype=float
    )
    at = np.linspace(0, len(anchors) - 1, steps)
    return (
        np.stack([np.interp(at, np.arange(len(anchors)), anchors[:, k]) for k in range(3)], axis=1)
        .round()
        .astype(np.uint8)
    )


def _parts(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


@dataclass(frozen=True)
class Track:
    """A way over the relief.

    Attributes:
        label: words in the legend. color: index into the plot palette. points: ``[n, 2]``; the last
            is where it is now.
        velocity, gradient: arrows ``[2]`` at the last point, in the plane's units; None for none.
    """

    label: str
    color: int
    points: Floats
    velocity: Floats | None = None
    gradient: Floats | None = None


@dataclass(frozen=True)
class Mark:
    """A critical point.

    Attributes:
        kind: ``minimum``, ``maximum``, ``saddle`` or ``degenerate``. axes: eigenvectors ``[2, 2]``
            as rows, eigenvalues ``[2]`` beside them.
    """

    kind: str
    at: Floats
    eigenvalues: Floats
    axes: Floats
