"""One curve of a plot: its samples, how it looks, and the items that draw it."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPen

from optlab.gui.plots.colors import PlotColors, mixed
from optlab.gui.plots.pyramid import Pyramid

FEW = 600
"""Points up to which a line is drawn smooth, broad or dashed; beyond, only plain lines of one pixel
are fast.
"""
_DOTTED = 40
"""Points up to which each is marked: so one sees where an evaluation was."""
_DOT = 4.5

Floats = NDArray[np.float64]


class Curve:
    """A named series.

    Args:
        label: its name for people. color: index into the palette. dashes: pattern in pen widths,
            empty for a solid line.
        pale: drawn faint, for what is noisy. strong: drawn broader where it is not long.
        groups: legend entries it belongs to; it is shown while all of them are on.
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
        self.samples = Pyramid()
        self.line = pg.PlotCurveItem(connect="all", skipFiniteCheck=True)
        self.dots = pg.ScatterPlotItem(size=_DOT, pen=None, pxMode=True)
        # Pale curves lie under the strong ones.
        self.line.setZValue(0 if pale else 2 if strong else 1)
        self.dots.setZValue(self.line.zValue())
        self.shown = True
        self._look: tuple[object, ...] = ()
        self._dotted = False

    def set_shown(self, shown: bool) -> None:
        """Show or hide it."""
        self.shown = shown
        self.line.setVisible(shown)
        self.dots.setVisible(shown)

    def ink(self, colors: PlotColors) -> str:
        """The color it is drawn with."""
        return mixed(colors.curve(self.color), colors.background, 0.55 if self.pale else 0.0)

    def draw(self, x: Floats, y: Floats, colors: PlotColors) -> None:
        """Draw points in the view's coordinates; NaN is a gap."""
        finite = np.isfinite(y)
        whole = bool(finite.all())
        if not finite.any():
            x, y, finite, whole = x[:0], y[:0], finite[:0], True
        self._take_look(len(x), colors)
        self.line.setData(x, y, connect="all" if whole else "finite", skipFiniteCheck=whole)
        self._draw_dots(x, y, finite)

    def _draw_dots(self, x: Floats, y: Floats, finite: NDArray[np.bool_]) -> None:
        if len(x) <= _DOTTED:
            marked = finite
        else:
            # A point between two gaps has no line.
            marked = finite.copy()
            marked[1:] &= ~finite[:-1]
            marked[:-1] &= ~finite[1:]
        if marked.any():
            self.dots.setData(x[marked], y[marked])
            self._dotted = True
        elif self._dotted:
            self.dots.clear()
            self._dotted = False

    def _take_look(self, points: int, colors: PlotColors) -> None:
        few = points <= FEW
        look = (colors, few)
        if look == self._look:
            return
        self._look = look
        ink = QColor(self.ink(colors))
        pen = QPen(ink, 2.0 if few and self.strong else 1.0)
        pen.setCosmetic(True)
        if few and self.dashes:
            pen.setDashPattern(list(self.dashes))
            pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        self.line.setPen(pen)
        self.line.opts["antialias"] = few
        self.dots.setBrush(ink)
