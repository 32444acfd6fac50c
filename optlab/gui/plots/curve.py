"""One curve of a plot: its samples, its style, and the items that draw it."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPen

from optlab.gui.plots.colors import PlotColors, mixed
from optlab.gui.plots.pyramid import Pyramid
from optlab.gui.plots.smoothing import Smoothed

MAX_STYLED_POINTS = 600
"""Up to this many points a line is drawn antialiased, thick or dashed; beyond, only plain one-pixel
lines are fast.
"""
_MAX_MARKED_POINTS = 40
"""Up to this many points each one is marked, to show where evaluations were."""
_MARKER_SIZE = 4.5

Floats = NDArray[np.float64]


class Curve:
    """A named series.

    Args:
        label: name in the legend and the readout. color: index into the palette. dashes: pattern
            in pen widths, empty for a solid line.
        pale: draw faintly, for noisy series. strong: draw thicker while there are few points.
        groups: legend entries that the curve belongs to; it is visible while all are checked.

    Attributes:
        run: id of the run that it belongs to; "" for the run that the plot follows.
        smoothed: the moving average that is drawn over the raw values, or None.
        folded: whether a band stands for it.
    """

    def __init__(
        self,
        label: str,
        color: int,
        dashes: tuple[float, ...],
        pale: bool,
        strong: bool,
        groups: tuple[str, ...],
    ) -> None:
        self.label, self.color, self.dashes, self.pale, self.strong, self.groups = (
            label,
            color,
            dashes,
            pale,
            strong,
            groups,
        )
        self.run = ""
        self.folded = False
        self.smoothed: Pyramid | None = None
        self.average: Smoothed | None = None
        self.samples = Pyramid()
        self.line = pg.PlotCurveItem(connect="all", skipFiniteCheck=True)
        self.dots = pg.ScatterPlotItem(size=_MARKER_SIZE, pen=None, pxMode=True)
        # Strong curves lie above pale ones.
        self.line.setZValue(0 if pale else 2 if strong else 1)
        self.dots.setZValue(self.line.zValue())
        self.smooth_line: pg.PlotCurveItem | None = None
        self.shown = True
        self._style: tuple[object, ...] = ()
        self._drawn: tuple[object, ...] = ()
        self._has_markers = False

    def set_shown(self, shown: bool) -> None:
        """Show or hide the curve."""
        self.shown = shown
        self.line.setVisible(shown)
        self.dots.setVisible(shown)
        if self.smooth_line is not None:
            self.smooth_line.setVisible(shown and self.smoothed is not None)

    def restyle(self, label: str, color: int, groups: tuple[str, ...]) -> None:
        """Give it another name, color and other legend entries; its samples stay."""
        self.label, self.color, self.groups = label, color, groups
        self._style = ()

    def smooth(self, weight: float) -> None:
        """Draw the moving average of its own samples, from now on; 0 for the raw values alone."""
        self.smoothed = self.average = None
        self._style = ()
        if weight:
            self.average = Smoothed(weight)
            kept = self.samples.samples(self.samples.first or 0, self.samples.last or 0)
            self.average.append(kept.steps, kept.values)
            self.smoothed = self.average.samples
        if self.smooth_line is not None:
            self.smooth_line.setVisible(self.shown and self.smoothed is not None)

    def show_average(self, samples: Pyramid | None) -> None:
        """Draw a moving average that was computed elsewhere; None for the raw values alone."""
        self.smoothed, self.average, self._style = samples, None, ()
        if self.smooth_line is not None:
            self.smooth_line.setVisible(self.shown and samples is not None)

    def outdated(self, view: tuple[object, ...], scale: object) -> bool:
        """Return whether something else is to be drawn than the last time it was asked.

        Args:
            view: all that the points depend on, beside the samples. scale: of the steps.
        """
        samples, smoothed = self.samples, self.smoothed
        drawn = (view, scale, samples, len(samples), smoothed, self._style, self.color)
        same = len(self._drawn) == len(drawn) and all(
            a is b or a == b for a, b in zip(self._drawn, drawn, strict=True)
        )
        self._drawn = drawn
        return not same

    def reset(self) -> None:
        """Remove its samples."""
        self.samples = Pyramid()
        if self.average is not None:
            self.smooth(self.average.weight)

    def ink(self, colors: PlotColors) -> str:
        """Return the color of the line as ``#rrggbb``."""
        return colors.faint(self.color) if self.pale else colors.curve(self.color)

    def line_ink(self, colors: PlotColors) -> str:
        """Return the color in which the raw values are drawn: faint beneath their average."""
        if self.smoothed is None:
            return self.ink(colors)
        return mixed(colors.curve(self.color), colors.background, 0.7)

    def draw(self, x: Floats, y: Floats, colors: PlotColors) -> None:
        """Draw points ``[n]`` given in view coordinates; NaN is a gap."""
        finite = np.isfinite(y)
        gapless = bool(finite.all())
        if not finite.any():
            x, y, finite, gapless = x[:0], y[:0], finite[:0], True
        self._update_pen(len(x), colors)
        self.line.setData(x, y, connect="all" if gapless else "finite", skipFiniteCheck=gapless)
        self._draw_dots(x, y, finite)

    def draw_smoothed(self, x: Floats, y: Floats, colors: PlotColors) -> None:
        """Draw points ``[n]`` of the moving average, given in view coordinates."""
        if self.smooth_line is None:
            return
        finite = np.isfinite(y)
        few = len(x) <= MAX_STYLED_POINTS
        pen = QPen(QColor(colors.curve(self.color)), 2.0 * colors.line if few else colors.scale)
        pen.setCosmetic(True)
        if few and self.dashes:
            pen.setDashPattern(list(self.dashes))
        self.smooth_line.setPen(pen)
        self.smooth_line.opts["antialias"] = few
        self.smooth_line.setData(x[finite], y[finite], connect="all", skipFiniteCheck=True)

    def _draw_dots(self, x: Floats, y: Floats, finite: NDArray[np.bool_]) -> None:
        if len(x) <= _MAX_MARKED_POINTS:
            marked = finite
        else:
            # A point between two gaps has no line segment.
            marked = finite.copy()
            marked[1:] &= ~finite[:-1]
            marked[:-1] &= ~finite[1:]
        if marked.any():
            self.dots.setData(x[marked], y[marked])
            self._has_markers = True
        elif self._has_markers:
            self.dots.clear()
            self._has_markers = False

    def _update_pen(self, points: int, colors: PlotColors) -> None:
        few = points <= MAX_STYLED_POINTS
        style = (colors, few, self.smoothed is None)
        if style == self._style:
            return
        self._style = style
        ink = QColor(self.line_ink(colors))
        # A line of many points has one pixel of the device, whatever its size: others are slow.
        width = (2.0 if self.strong else 1.0) * colors.line if few else colors.scale
        pen = QPen(ink, width)
        pen.setCosmetic(True)
        if few and self.dashes:
            pen.setDashPattern(list(self.dashes))
            pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        self.line.setPen(pen)
        self.line.opts["antialias"] = few
        self.dots.setBrush(ink)
        self.dots.setSize(_MARKER_SIZE * colors.scale)
