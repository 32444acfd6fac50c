"""The spectral density of the Hessian on a logarithmic axis.

Vertical lines mark the eigenvalues, all of a small model and the extreme ones of a larger, and the
edge of stability.
"""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.plot_frame import PlotFrame
from optlab.gui.plots.ticks import readable
from optlab.tasks.landscape import SpectrumResult

_FLOOR = 1e-7
"""The curve is cut off below this share of the highest density, where only smoothing is visible."""


class DensityPlot(PlotFrame):
    """A plot of a :class:`~optlab.tasks.landscape.SpectrumResult`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(steps=False, parent=parent)
        self.setAccessibleName("Spectrum of the Hessian")
        self.follow_button.setText("Reset view")
        self.canvas.x_axis.set_label("Eigenvalue λ")
        self.canvas.y_axis.set_label("log₁₀ density")
        self._result: SpectrumResult | None = None
        self.curve = pg.PlotCurveItem(antialias=True)
        self.ends = pg.PlotCurveItem(connect="pairs", antialias=True)
        self.all = pg.PlotCurveItem(connect="pairs", antialias=True)
        self.edge = pg.InfiniteLine(angle=90, movable=False)
        for item in (self.curve, self.all, self.ends, self.edge):
            self.canvas.view.addItem(item, ignoreBounds=True)

    def show_spectrum(self, result: SpectrumResult | None) -> None:
        """Show another spectrum, or none."""
        self._result = result
        self.follow()

    def _draw(self) -> None:
        result = self._result
        if result is None:
            self._show_message("No spectrum yet…")
            return
        self._show_message("")
        ends = np.concatenate([result.bottom, result.top])
        low, high = float(min(ends.min(), 0.0)), float(ends.max())
        bottom, top = -3.0, 0.5
        if len(result.grid):
            kept = result.density > _FLOOR * result.density.max()
            x, y = result.grid[kept], np.log10(result.density[kept])
            self.curve.setPen(pg.mkPen(self.colors.curve(0), width=2 * self.colors.line))
            self.curve.setData(x, y)
            bottom, top = float(y.min()), float(y.max()) + 0.5
        else:
            self.curve.clear()
        self.ends.setPen(pg.mkPen(self.colors.curve(1), width=2 * self.colors.line))
        height = bottom + 0.12 * (top - bottom)
        self.ends.setData(np.repeat(ends, 2), np.tile([bottom, height], len(ends)))
        height = bottom + 0.06 * (top - bottom)
        self.all.setPen(pg.mkPen(self.colors.curve(0), width=self.colors.line))
        self.all.setData(np.repeat(result.whole, 2), np.tile([bottom, height], len(result.whole)))
        self.edge.setVisible(result.rate is not None)
        if result.rate is not None:
            self.edge.setPen(pg.mkPen(self.colors.curve(2), width=1.5 * self.colors.line))
            self.edge.setPos(result.factor / result.rate)
        if self.following:
            room = 0.05 * (high - low)
            self.canvas.view.setRange(
                xRange=(low - room, high + room),
                yRange=(bottom, top),
                padding=0.0,
                disableAutoRange=True,
            )

    def _update_readout(self) -> None:
        if self._mouse is None or self._result is None:
            self._hide_readout()
            return
        at = self.canvas.view.mapSceneToView(self._mouse)
        self._show_readout(f"λ = {readable(float(at.x()), 3)}")
