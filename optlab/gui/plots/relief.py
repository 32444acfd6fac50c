"""A function of two variables on a grid, and a height scale that resolves valleys and walls.

Losses often span many powers of ten: on a linear scale all but the highest walls would have one
color. The scale is therefore linear near the lowest height and logarithmic far from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optlab.gui.plots.colors import PlotColors, mixed

Floats = NDArray[np.float64]

_ANCHORS = ("#26185f", "#2f4b9b", "#1f7a9c", "#22a884", "#8bd346", "#f5e626")
"""A perceptually ordered color scale, dark for low: readable with color blindness and in gray."""


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
        """Return a scale for these heights."""
        finite = self.z[np.isfinite(self.z)]
        if not len(finite):
            return Scale(0.0, 1.0, 1.0)
        low, high = float(finite.min()), float(finite.max())
        if high <= low:
            return Scale(low, low + 1.0, 1.0)
        # The linear part ends at the median height.
        bend = float(np.median(finite)) - low
        return Scale(low, high, min(max(bend, 1e-9 * (high - low)), high - low))

    def heights_at(self, points: Floats) -> Floats:
        """Return heights ``[n]`` at points ``[n, 2]`` by bilinear interpolation; NaN outside."""
        column = np.interp(points[:, 0], self.x, np.arange(len(self.x)), left=np.nan, right=np.nan)
        row = np.interp(points[:, 1], self.y, np.arange(len(self.y)), left=np.nan, right=np.nan)
        inside = np.isfinite(column) & np.isfinite(row)
        heights = np.full(len(points), np.nan)
        c, r = column[inside], row[inside]
        c0, r0 = (
            np.minimum(c.astype(int), len(self.x) - 2),
            np.minimum(r.astype(int), len(self.y) - 2),
        )
        u, v = c - c0, r - r0
        z = self.z
        heights[inside] = (z[r0, c0] * (1 - u) + z[r0, c0 + 1] * u) * (1 - v) + (
            z[r0 + 1, c0] * (1 - u) + z[r0 + 1, c0 + 1] * u
        ) * v
        return heights


@dataclass(frozen=True)
class Scale:
    """A mapping of heights to shares of the range, from 0 to 1.

    Attributes:
        low, high: ends of the range. bend: height above ``low`` up to which the scale is almost
            linear.
    """

    low: float
    high: float
    bend: float

    def share(self, z: Floats) -> Floats:
        """Return heights of any shape as shares, clipped to [0, 1]; NaN stays NaN."""
        top = np.log1p((self.high - self.low) / self.bend)
        with np.errstate(invalid="ignore", over="ignore"):
            clipped = np.clip(
                np.nan_to_num(z, nan=np.nan, posinf=self.high, neginf=self.low), self.low, self.high
            )
            shares: Floats = np.log1p((clipped - self.low) / self.bend) / top
        return shares

    def height(self, share: float) -> float:
        """Return the height at a share."""
        top = np.log1p((self.high - self.low) / self.bend)
        return float(self.low + self.bend * np.expm1(share * top))

    def levels(self, count: int) -> list[float]:
        """Return ``count`` heights, evenly spaced on the scale."""
        return [self.height((k + 0.5) / count) for k in range(count)]


def lookup(colors: PlotColors, steps: int = 256) -> NDArray[np.uint8]:
    """Return RGB colors ``[steps, 3]`` from low to high.

    They are blended with the background of the theme, so that paths stand out.
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
    """A path over the relief.

    Attributes:
        label: name in the legend. color: index into the plot palette. points: ``[n, 2]``; the last
            is the current position.
        velocity, gradient: arrows ``[2]`` at the last point, in units of the plane, or None.
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
        kind: ``minimum``, ``maximum``, ``saddle`` or ``degenerate``. at: position ``[2]``.
        eigenvalues: ``[2]``, of the Hessian. axes: its eigenvectors ``[2, 2]`` as rows.
    """

    kind: str
    at: Floats
    eigenvalues: Floats
    axes: Floats
