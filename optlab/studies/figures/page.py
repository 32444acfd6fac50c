"""A page with a title, panels and a caption, and its file: the only module that uses matplotlib.

Matplotlib is an extra (``pip install 'optlab[figures]'``) and is imported at the first page. Only
its figure objects are used, never ``pyplot``: no display is needed, and the settings of a caller's
own script do not change.
"""

from __future__ import annotations

import logging
import sys
import textwrap
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from optlab.core import files
from optlab.core.errors import InvalidInput
from optlab.core.palette import DARK, LIGHT, PlotColors, mixed
from optlab.objective.surface_objective import Array
from optlab.studies.figures.base import Ground

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Theme = Literal["light", "dark"]
Format = Literal["png", "svg"]
THEMES: tuple[Theme, ...] = get_args(Theme)
FORMATS: tuple[Format, ...] = get_args(Format)
DPI = 200
"""Resolution of bitmaps."""
_LINE = 0.165
"""Line spacing of a caption in inches."""
_CHARACTERS = 16.0
"""Characters of a caption per inch, with some room for wide ones."""
_MARGIN = 0.3


def require() -> None:
    """Check that matplotlib can be imported.

    Raises:
        InvalidInput: it is not installed; the message says how to install it.
    """
    try:
        with _quiet():
            import matplotlib.figure  # noqa: F401
    except ImportError:
        packaged = (
            "which the packaged OptLab leaves out; install OptLab with pip: pip install "
            "'optlab[figures]'"
        )
        installable = "which is not installed; install it with: pip install 'matplotlib>=3.8'"
        raise InvalidInput(
            "Figures are drawn by matplotlib, "
            f"{packaged if getattr(sys, 'frozen', False) else installable}."
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the message of matplotlib when it builds its font cache."""
    log = logging.getLogger("matplotlib.font_manager")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


@contextmanager
def style(colors: PlotColors) -> Iterator[None]:
    """Apply a theme inside the context; restore the settings of matplotlib afterwards."""
    from matplotlib import rc_context

    def faint(color: str, share: float) -> str:
        return mixed(color, colors.background, share)

    with (
        _quiet(),
        rc_context(
            {
                "font.family": "DejaVu Sans",
                "font.size": 9.0,
                "axes.titlesize": 10.0,
                "axes.labelsize": 9.0,
                "legend.fontsize": 8.5,
                "legend.frameon": False,
                "text.color": colors.foreground,
                "axes.labelcolor": colors.foreground,
                "axes.edgecolor": faint(colors.foreground, 0.45),
                "axes.facecolor": colors.background,
                "figure.facecolor": colors.background,
                "savefig.facecolor": colors.background,
                "xtick.color": faint(colors.foreground, 0.3),
                "ytick.color": faint(colors.foreground, 0.3),
                "xtick.labelsize": 8.0,
                "ytick.labelsize": 8.0,
                "grid.color": colors.grid,
                "axes3d.xaxis.panecolor": colors.background,
                "axes3d.yaxis.panecolor": colors.background,
                "axes3d.zaxis.panecolor": colors.background,
                "contour.negative_linestyle": "solid",
                "axes.spines.top": False,
                "axes.spines.right": False,
                "lines.solid_capstyle": "round",
                "mathtext.fontset": "dejavusans",
                "svg.fonttype": "path",
                "svg.hashsalt": "optlab",
            }
        ),
    ):
        yield


class Page:
    """A page to draw on.

    Args:
        number, title, caption: of the figure. size: width and height of the page in inches.

    Attributes:
        colors: of the theme. sheet: the matplotlib figure.
    """

    def __init__(
        self, number: str, title: str, caption: str, size: tuple[float, float], theme: Theme
    ) -> None:
        require()
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        self.colors: PlotColors = {"light": LIGHT, "dark": DARK}[theme]
        width, height = size
        lines = textwrap.wrap(
            caption.replace(" = ", "\u00a0=\u00a0"), int(_CHARACTERS * (width - 2 * _MARGIN))
        )
        below = _MARGIN + _LINE * len(lines)
        with self.style():
            self.sheet = Figure(figsize=size, dpi=DPI)
            layout = ConstrainedLayoutEngine(
                rect=(0.012, (below + 0.14) / height, 0.976, 1.0 - (below + 0.14 + 0.62) / height),
                w_pad=0.08,
                h_pad=0.06,
            )
            self.sheet.set_layout_engine(layout)
            top = 1.0 - 0.38 / height
            head = self.sheet.text(
                _MARGIN / width,
                top,
                f"Figure {number}",
                fontsize=13,
                fontweight="bold",
                color=self.colors.palette[0],
                va="center",
            )
            box = head.get_window_extent()
            self.sheet.text((box.x1 / DPI + 0.12) / width, top, title, fontsize=13, va="center")
            self.sheet.text(
                _MARGIN / width,
                below / height,
                "\n".join(lines),
                fontsize=8.8,
                va="top",
                linespacing=1.3,
                color=self.muted,
            )

    @property
    def muted(self) -> str:
        """The color of secondary text and lines."""
        return mixed(self.colors.foreground, self.colors.background, 0.25)

    def faint(self, color: str, share: float = 0.75) -> str:
        """Return ``color`` mixed with this share of the background."""
        return mixed(color, self.colors.background, share)

    def style(self) -> AbstractContextManager[None]:
        """Apply the theme inside the context; restore the settings of matplotlib afterwards."""
        return style(self.colors)

    def curves(self, axes: Axes, title: str, x: str, y: str) -> None:
        """Style a panel for curves over a grid."""
        axes.set_title(title, loc="left")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.grid(True, linewidth=0.6)
        axes.set_axisbelow(True)

    def contours(
        self, axes: Axes, title: str, land: Ground, levels: Array, x: str = "$x$", y: str = "$y$"
    ) -> None:
        """Draw a contour map of ``land`` with lines at ``levels`` ``[n]``; low values are pale."""
        axes.set_title(title, loc="left")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.contourf(
            land.x, land.y, land.heights, levels=levels, cmap=self.heights_map(), extend="both"
        )
        axes.contour(
            land.x,
            land.y,
            land.heights,
            levels=levels,
            colors=[self.faint(self.colors.foreground, 0.62)],
            linewidths=0.5,
        )
        axes.set_xlim(float(land.x[0]), float(land.x[-1]))
        axes.set_ylim(float(land.y[0]), float(land.y[-1]))

    def relief(
        self,
        axes: Axes,
        title: str,
        land: Ground,
        azimuth: float,
        elevation: float,
        zoom: float = 1.0,
    ) -> Any:
        """Draw a shaded relief on three-dimensional axes, and return them."""
        from matplotlib.colors import LightSource

        solid: Any = axes
        width, depth, height = (float(np.ptp(values)) for values in (land.x, land.y, land.heights))
        # Shade it as if its height were a third of its width, whatever the units.
        shades = LightSource(azdeg=315, altdeg=50).shade(
            land.heights, cmap=self.heights_map(0.35), blend_mode="soft", vert_exag=width / (3.0 * height), dx=width / (len(land.x) - 1),
            dy=depth / (len(land.y) - 1) * width / depth,
        )  # fmt: skip
        solid.plot_surface(
            land.x[None, :].repeat(len(land.y), 0), land.y[:, None].repeat(len(land.x), 1), land.heights,
            facecolors=shades, rstride=1, cstride=1, linewidth=0, antialiased=False, shade=False, zorder=1, rasterized=True,
        )  # fmt: skip
        solid.computed_zorder = False
        solid.set_title(title, loc="left")
        solid.view_init(elev=elevation, azim=azimuth)
        solid.set_box_aspect((1.0, 1.0, 0.62), zoom=zoom)
        return solid

    def heights_map(self, strength: float = 0.0) -> Any:
        """Return a color map from the background to the first color of the palette.

        ``strength``: saturation of the low end.
        """
        from matplotlib.colors import LinearSegmentedColormap

        low = mixed(
            self.colors.background,
            self.colors.palette[0],
            strength if self.colors is LIGHT else 0.5 * strength,
        )
        high = mixed(self.colors.background, self.colors.palette[0], min(0.32 + strength, 1.0))
        return LinearSegmentedColormap.from_list("heights", [low, high])

    def write(self, path: Path, format: Format) -> None:
        """Write the page to a file atomically.

        Raises:
            StoreError: the file cannot be written.
        """
        with self.style(), files.replacing(path) as temporary:
            # No date and no version of a library: the same numbers give the same file.
            self.sheet.savefig(
                temporary,
                format=format,
                dpi=DPI,
                metadata={"Date": None} if format == "svg" else {"Software": "OptLab"},
            )
