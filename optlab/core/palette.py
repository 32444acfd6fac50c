"""The colors of plots and figures, one set for each theme.

The palettes maximize the smallest difference (CIE 1976) between any two colors, for normal vision
and for vision without red or green cones, among colors with a contrast of at least 3:1 to their
background. They are in order of use: the first are the easiest to distinguish.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlotColors:
    """Colors as ``#rrggbb``.

    ``grid`` is also the color of the crosshair. ``palette`` holds the colors of curves in order of
    use; further curves start again at its beginning. ``scale`` is the size of lines, marks and text
    in relation to that in a window: 1, or more on a projector. ``ratio`` is the number of pixels of
    the device for one of the window; None where it is not known.
    """

    background: str
    foreground: str
    grid: str
    palette: tuple[str, ...]
    scale: float = 1.0
    ratio: float | None = None

    @property
    def line(self) -> float:
        """Width of a line in pixels of the device, in which cosmetic pens are measured."""
        return self.scale * (self.ratio or 1.0)

    def curve(self, index: int) -> str:
        """Return the color of curve ``index``.

        For a negative index, the neutral color of an entry that represents several curves.
        """
        if index < 0:
            return mixed(self.foreground, self.background, 0.3)
        return self.palette[index % len(self.palette)]

    def faint(self, index: int) -> str:
        """Return the color of curve ``index`` where its series is noisy, and the curve faint."""
        # On a dark background a color is harder to see the more of it is mixed in.
        is_dark = sum(_parts(self.background)) < 3 * 128
        return mixed(self.curve(index), self.background, 0.35 if is_dark else 0.55)


def mixed(color: str, with_color: str, share: float) -> str:
    """Return ``color`` mixed with a ``share`` of another, opaque: translucent pens draw slowly."""
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
