"""The spectrum of the Hessian: its density on a logarithmic axis, with the eigenvalues at both ends
and the edge of stability as lines.
"""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.plot_frame import PlotFrame
from optlab.gui.plots.ticks import readable
from optlab.tasks.landscape import SpectrumResult

_FLOOR = 1e-7
"""Share of the highest density below which the curve is not drawn: the tails of the smoothing."""


class DensityPlot(PlotFrame):
    """Draws a :class:`~optlab.tasks.landscape.SpectrumResult`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(steps=False, parent=parent)
        self.setAccessibleName("Spectrum of the Hessian")
        self.follow_button.setText("Whole")
        self.canvas.x_axis.set_label("Eigenvalue λ")
        self.canvas.y_axis.set_label("log₁₀ density")
        self._found: SpectrumResult | None = None
        self.curve = pg.PlotCurveItem(antialias=True)
        self.ends = pg.PlotCurveItem(connect="pairs", antialias=True)
        self.edge = pg.InfiniteLine(angle=90, movable=False)
        for item in (self.curve, self.ends, self.edge):
            self.canvas.view.addItem(item, ignoreBounds=True)

    def show_spectrum(self, found: SpectrumResult | None) -> None:
        """Show another spectrum; None for none."""
        self._found = found
        self.follow()

    def _draw(self) -> None:
        found = self._found
        if found is None:
            self._say("No spectrum yet…")
            return
        self._say("")
        ends = np.concatenate([found.bottom, found.top])
        low, high = float(min(ends.min(), 0.0)), float(ends.max())
        bottom, top = -3.0, 0.5
        if len(found.grid):
            kept = found.density > _FLOOR * found.density.max()
            x, y = found.grid[kept], np.log10(found.density[kept])
            self.curve.setPen(pg.mkPen(self.colors.curve(0), width=2))
            self.curve.setData(x, y)
            bottom, top = float(y.min()), float(y.max()) + 0.5
        else:
            self.curve.clear()
        self.ends.setPen(pg.mkPen(self.colors.curve(1), width=2))
        height = bottom + 0.12 * (top - bottom)
        self.ends.setData(np.repeat(ends, 2), np.tile([bottom, height], len(ends)))
        self.edge.setVisible(found.rate is not None)
        if found.rate is not None:
            self.edge.setPen(pg.mkPen(self.colors.curve(2), width=1.5))
            self.edge.setPos(2.0 / found.rate)
        if self.following:
            room = 0.05 * (high - low)
            self.canvas.view.setRange(
                xRange=(low - room, high + room),
                yRange=(bottom, top),
                padding=0.0,
                disableAutoRange=True,
            )

    def _update_readout(self) -> None:
        if self._mouse is None or self._found is None:
            self._hide_readout()
            return
        at = self.canvas.view.mapSceneToView(self._mouse)
        self._show_readout(f"λ = {readable(float(at.x()), 3)}")
