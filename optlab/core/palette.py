"""The colors of plots and figures, one set for each theme.

The palettes were searched for the largest least difference (CIE 1976) between any two colors, seen
with normal sight and without red or green cones, among those that stand out from their background
at least 3 to 1. The order is that of use: the first are the easiest to tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlotColors:
    """Colors as ``#rrggbb``.

    ``grid`` also draws the crosshair; ``palette``: of the curves, in order of use; curves beyond it
    begin anew.
    """

    background: str
    foreground: str
    grid: str
    palette: tuple[str, ...]

    def curve(self, index: int) -> str:
        """The color of curve ``index``; below 0 the neutral one of an entry that stands for several
        curves.
        """
        if index < 0:
            return mixed(self.foreground, self.background, 0.3)
        return self.palette[index % len(self.palette)]


def mixed(color: str, with_color: str, share: float) -> str:
    """``color`` with a ``share`` of another, opaque: translucent pens are slow to draw."""
    parts = zip(_parts(color), _parts(with_color), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in parts)


def _parts(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


LIGHT = PlotColors(
    background="#ffffff",
    foreground="#1f2328",
    grid="#e4e7ec",
    palette=(
        "#0067b1",
        "#d1490c",
        "#00805c",
        "#220099",
        "#770000",
        "#0099aa",
        "#6666ff",
        "#003344",
        "#0000ff",
        "#779955",
        "#222277",
        "#006666",
    ),
)
DARK = PlotColors(
    background="#1b1e23",
    foreground="#e3e6ea",
    grid="#363b44",
    palette=(
        "#58a6ff",
        "#ff8f4f",
        "#3fcf9f",
        "#ffee00",
        "#228899",
        "#55eeff",
        "#2266ff",
        "#bb5544",
        "#55ff99",
        "#bb5500",
        "#7766bb",
        "#ff9900",
    ),
)
