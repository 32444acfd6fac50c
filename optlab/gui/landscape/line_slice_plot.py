"""The objective along a line, with the standard error over batches as a band."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.colors import mixed
from optlab.gui.plots.plot_frame import PlotFrame
from optlab.gui.plots.ticks import readable
from optlab.tasks.slicing import LineSlice


class LineSlicePlot(PlotFrame):
    """A plot of a :class:`~optlab.tasks.slicing.LineSlice`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(steps=False, parent=parent)
        self.setAccessibleName("Objective along a line")
        self.follow_button.setText("Reset view")
        self.canvas.y_axis.set_label("Objective")
        self._slice: LineSlice | None = None
        self.below, self.above = pg.PlotCurveItem(), pg.PlotCurveItem()
        self.band = pg.FillBetweenItem(self.below, self.above)
        self.curve = pg.PlotCurveItem(antialias=True)
        self.origin_line = pg.InfiniteLine(angle=90, movable=False)
        for item in (self.band, self.origin_line, self.curve):
            self.canvas.view.addItem(item, ignoreBounds=True)

    def show_line(self, result: LineSlice | None) -> None:
        """Show another line, or none."""
        self._slice = result
        self.follow()

    def _draw(self) -> None:
        result = self._slice
        if result is None:
            self._show_message("No line yet…")
            return
        self._show_message("")
        self.canvas.x_axis.set_label(
            f"Distance along the line ({result.label}; 0 = current weights)"
        )
        self.below.setData(result.at, result.loss - result.standard_error)
        self.above.setData(result.at, result.loss + result.standard_error)
        self.band.setBrush(pg.mkBrush(mixed(self.colors.curve(0), self.colors.background, 0.75)))
        self.curve.setPen(pg.mkPen(self.colors.curve(0), width=2 * self.colors.line))
        self.curve.setData(result.at, result.loss)
        self.origin_line.setPen(pg.mkPen(self.colors.curve(1), width=1.5 * self.colors.line))
        self.origin_line.setPos(0.0)
        if self.following:
            low, high = (
                float((result.loss - result.standard_error).min()),
                float((result.loss + result.standard_error).max()),
            )
            room = 0.05 * max(high - low, 1e-12)
            self.canvas.view.setRange(
                xRange=(result.at[0], result.at[-1]),
                yRange=(low - room, high + room),
                padding=0.0,
                disableAutoRange=True,
            )

    def _update_readout(self) -> None:
        result = self._slice
        if self._mouse is None or result is None:
            self._hide_readout()
            return
        at = float(self.canvas.view.mapSceneToView(self._mouse).x())
        loss, error = (
            float(np.interp(at, result.at, values))
            for values in (result.loss, result.standard_error)
        )
        self._show_readout(
            f"at {readable(at, 3)}: {readable(loss, 4)} ± {readable(error, 2)}<br>"
            f"standard error over {result.batches} batches"
        )
