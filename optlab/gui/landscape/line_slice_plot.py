"""The objective on a line, with the standard error over batches as a band."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.colors import mixed
from optlab.gui.plots.plot_frame import PlotFrame
from optlab.gui.plots.ticks import readable
from optlab.tasks.slicing import LineSlice


class LineSlicePlot(PlotFrame):
    """Draws a :class:`~optlab.tasks.slicing.LineSlice`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(steps=False, parent=parent)
        self.setAccessibleName("Objective on a line")
        self.follow_button.setText("Whole")
        self.canvas.y_axis.set_label("Objective")
        self._slice: LineSlice | None = None
        self.below, self.above = pg.PlotCurveItem(), pg.PlotCurveItem()
        self.band = pg.FillBetweenItem(self.below, self.above)
        self.curve = pg.PlotCurveItem(antialias=True)
        self.here = pg.InfiniteLine(angle=90, movable=False)
        for item in (self.band, self.here, self.curve):
            self.canvas.view.addItem(item, ignoreBounds=True)

    def show_line(self, found: LineSlice | None) -> None:
        """Show another line; None for none."""
        self._slice = found
        self.follow()

    def _draw(self) -> None:
        found = self._slice
        if found is None:
            self._say("No line yet…")
            return
        self._say("")
        self.canvas.x_axis.set_label(
            f"Distance along the line ({found.label}; 0 is where the weights are)"
        )
        self.below.setData(found.at, found.loss - found.standard_error)
        self.above.setData(found.at, found.loss + found.standard_error)
        self.band.setBrush(pg.mkBrush(mixed(self.colors.curve(0), self.colors.background, 0.75)))
        self.curve.setPen(pg.mkPen(self.colors.curve(0), width=2))
        self.curve.setData(found.at, found.loss)
        self.here.setPen(pg.mkPen(self.colors.curve(1), width=1.5))
        self.here.setPos(0.0)
        if self.following:
            low, high = (
                float((found.loss - found.standard_error).min()),
                float((found.loss + found.standard_error).max()),
            )
            room = 0.05 * max(high - low, 1e-12)
            self.canvas.view.setRange(
                xRange=(found.at[0], found.at[-1]),
                yRange=(low - room, high + room),
                padding=0.0,
                disableAutoRange=True,
            )

    def _update_readout(self) -> None:
        found = self._slice
        if self._mouse is None or found is None:
            self._hide_readout()
            return
        at = float(self.canvas.view.mapSceneToView(self._mouse).x())
        loss, error = (
            float(np.interp(at, found.at, values)) for values in (found.loss, found.standard_error)
        )
        self._show_readout(
            f"at {readable(at, 3)}: {readable(loss, 4)} ± {readable(error, 2)}<br>standard error over {found.batches} batches"
        )
