"""A plot of a complete result: lines with error bars, points, or an image.

Demonstrations and instruments produce such results.
"""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.colors import mixed
from optlab.gui.plots.legend import Legend
from optlab.gui.plots.plot_frame import PlotFrame
from optlab.gui.plots.raster_item import RasterItem
from optlab.gui.plots.relief import Floats, Scale, lookup
from optlab.gui.plots.ticks import readable
from optlab.studies.demonstrations.base import Axis, Plot

_MAX_MARKED_POINTS = 60
"""Up to this many points of a line are marked."""
_DASHES = (4.0, 3.0)


class ResultPlot(PlotFrame):
    """Draws a :class:`~optlab.studies.demonstrations.base.Plot`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(steps=False, parent=parent)
        self.follow_button.setText("Reset view")
        self.follow_action.setText("Reset view")
        self.legend = Legend(self.colors)
        self.legend.switched.connect(lambda _key, _shown: self._mark_stale(soon=True))
        self.header.insertWidget(0, self.legend, 1)
        self._plot: Plot | None = None
        self._items: list[pg.GraphicsObject] = []

    def show_plot(self, plot: Plot) -> None:
        """Show another plot, or an update of the same one.

        A view that the user changed stays as it is.
        """
        named = [
            *(curve.name for curve in plot.curves),
            *(scatter.name for scatter in plot.scatters),
        ]
        before = self.legend.keys()
        if before != tuple(named):
            for key in before:
                self.legend.remove(key)
            if len(named) > 1:
                for color, curve in enumerate(plot.curves):
                    self.legend.add(
                        curve.name, curve.name, color, _DASHES if curve.style == "predicted" else ()
                    )
                for color, scatter in enumerate(plot.scatters, len(plot.curves)):
                    self.legend.add(scatter.name, scatter.name, color)
        if self._plot is None or (self._plot.x, self._plot.y) != (plot.x, plot.y):
            self.setAccessibleName(plot.title)
            self.canvas.x_axis.set_label(_axis_text(plot.x))
            self.canvas.y_axis.set_label(_axis_text(plot.y))
            self.canvas.x_axis.setLogMode(x=plot.x.log, y=False)
            self.canvas.y_axis.setLogMode(x=False, y=plot.y.log)
        self._plot = plot
        self._mark_stale(soon=True)

    # --- drawing --------------------------------------------------------------

    def _draw(self) -> None:
        plot = self._plot
        for item in self._items:
            self.canvas.view.removeItem(item)
        self._items = []
        if plot is None:
            self._show_message("Press Run.")
            return
        ends: list[tuple[Floats, Floats]] = []
        if plot.image is not None:
            ends.append(self._draw_image(plot))
        for color, curve in enumerate(plot.curves):
            if self._shown(curve.name):
                ends.append(self._draw_curve(plot, color))
        for color, scatter in enumerate(plot.scatters, len(plot.curves)):
            if self._shown(scatter.name):
                x, y = self._to_view(plot, scatter.x, scatter.y)
                dots = pg.ScatterPlotItem(
                    x=x,
                    y=y,
                    size=6 * self.colors.scale,
                    pen=None,
                    brush=QColor(self.colors.curve(color)),
                    pxMode=True,
                )
                self._add(dots, 3)
                ends.append((x, y))
        x, y = (
            np.concatenate([end[axis] for end in ends]) if ends else np.zeros(0) for axis in (0, 1)
        )
        finite = np.isfinite(x) & np.isfinite(y)
        if not finite.any():
            self._show_message(
                "Nothing to draw yet…"
                if ends
                else "All curves are hidden: click a name above to show it."
            )
            return
        self._show_message("")
        if self.following:
            (left, right), (low, high) = (_padded(values[finite]) for values in (x, y))
            self.canvas.view.setRange(
                xRange=(left, right), yRange=(low, high), padding=0.0, disableAutoRange=True
            )

    def _draw_curve(self, plot: Plot, number: int) -> tuple[Floats, Floats]:
        curve = plot.curves[number]
        x, y = self._to_view(plot, curve.x, curve.y)
        ink = self.colors.curve(number)
        predicted = curve.style == "predicted"
        pen = pg.mkPen(ink, width=(1.5 if predicted else 2) * self.colors.line)
        if predicted:
            pen.setDashPattern(list(_DASHES))
        self._add(pg.PlotCurveItem(x, y, pen=pen, antialias=True, connect="finite"), 1)
        if curve.style == "measured" and len(x) <= _MAX_MARKED_POINTS:
            self._add(
                pg.ScatterPlotItem(
                    x=x, y=y, size=5 * self.colors.scale, pen=None, brush=QColor(ink), pxMode=True
                ),
                3,
            )
        if curve.error is None:
            return x, y
        below, above = curve.error if curve.error.ndim == 2 else (curve.error, curve.error)
        _, low = self._to_view(plot, curve.x, curve.y - below)
        _, high = self._to_view(plot, curve.x, curve.y + above)
        # On a logarithmic axis, a bar that reaches below zero ends at the smallest value.
        low = np.where(np.isfinite(low), low, np.nanmin(y) if np.isfinite(y).any() else 0.0)
        points = np.stack([low, high], axis=1).reshape(-1)
        bars = pg.PlotCurveItem(
            np.repeat(x, 2),
            points,
            pen=pg.mkPen(mixed(ink, self.colors.background, 0.35), width=self.colors.line),
            connect="pairs",
        )
        self._add(bars, 2)
        return np.concatenate([x, x]), np.concatenate([low, high])

    def _draw_image(self, plot: Plot) -> tuple[Floats, Floats]:
        image = plot.image
        assert image is not None
        finite = image.values[np.isfinite(image.values)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        share = Scale(low, high if high > low else low + 1.0, 1e9 * max(high - low, 1.0)).share(
            image.values
        )
        cells = lookup(self.colors)[np.nan_to_num(share * 255).astype(int)]
        item = RasterItem(cells, smooth=False)
        item.setRect(
            QRectF(image.x[0], image.y[0], image.x[1] - image.x[0], image.y[1] - image.y[0])
        )
        self._add(item, 0)
        return np.array(image.x, dtype=np.float64), np.array(image.y, dtype=np.float64)

    def _add(self, item: pg.GraphicsObject, depth: int) -> None:
        item.setZValue(depth)
        self.canvas.view.addItem(item, ignoreBounds=True)
        self._items.append(item)

    def _shown(self, name: str) -> bool:
        names = self.legend.keys()
        return name not in names or self.legend.entry(name).isChecked()

    @staticmethod
    def _to_view(plot: Plot, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        with np.errstate(divide="ignore", invalid="ignore"):
            across = (
                np.where(x > 0.0, np.log10(np.where(x > 0.0, x, 1.0)), np.nan)
                if plot.x.log
                else np.asarray(x, dtype=np.float64)
            )
            up = (
                np.where(y > 0.0, np.log10(np.where(y > 0.0, y, 1.0)), np.nan)
                if plot.y.log
                else np.asarray(y, dtype=np.float64)
            )
        return across, up

    # --- readout and colors ---------------------------------------------------

    def _update_readout(self) -> None:
        plot = self._plot
        if self._mouse is None or plot is None:
            self._hide_readout()
            return
        at = self.canvas.view.mapSceneToView(self._mouse)
        x = 10.0 ** at.x() if plot.x.log else at.x()
        y = 10.0 ** at.y() if plot.y.log else at.y()
        self._show_readout(f"{readable(float(x), 3)}, {readable(float(y), 3)}")

    def _paint_colors(self) -> None:
        super()._paint_colors()
        if hasattr(self, "legend"):
            self.legend.set_colors(self.colors)


def _axis_text(axis: Axis) -> str:
    return f"{axis.label} ({axis.unit})" if axis.unit else axis.label


def _padded(values: Floats) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or max(abs(high), 1.0) * 0.05
    return low - room, high + room
