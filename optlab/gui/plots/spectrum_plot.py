"""The spectrum of the Hessian at the step that is looked at."""

from __future__ import annotations

import numpy as np
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.colors import PlotColors
from optlab.gui.plots.model_tile import ModelTile
from optlab.gui.plots.result_plot import ResultPlot
from optlab.gui.plots.ticks import readable
from optlab.studies.demonstrations.base import Axis, Curve, Plot, Scatter
from optlab.tasks.curvature_views import SpectrumAtStep, SpectrumView

_FLOOR = 1e-5
"""Lowest density that is drawn, as a share of the highest."""


class SpectrumPlot(ModelTile):
    """Density of the eigenvalues of the Hessian, with the largest and the smallest ones."""

    tile_title = "Spectrum at the step"
    tile_row, tile_position = 14, 0
    tile_at_first = False

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Spectrum of the Hessian at the step")
        self.plot = ResultPlot()
        self.set_body(self.plot)

    @property
    def view(self) -> SpectrumView:
        """What is asked for."""
        return SpectrumView()

    def draw(self, result: SpectrumAtStep) -> None:
        """Draw the density."""
        self.plot.show_plot(curve(result))
        self.plot.refresh()

    def describe(self, result: SpectrumAtStep) -> str:
        """Return the ends of the spectrum."""
        about = "" if result.converged else " (not converged)"
        return (
            f"λ₁ {result.top[0]:.4g} · smallest {readable(result.bottom[0], 3)}{about} · "
            f"{result.examples:,} training examples"
        )

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        super().set_colors(colors)
        if hasattr(self, "plot"):
            self.plot.set_colors(colors)


def curve(found: SpectrumAtStep) -> Plot:
    """Return the density on a logarithmic axis, with the eigenvalues that were found on its floor."""
    floor = _FLOOR * float(found.density.max())
    drawn = found.density > floor
    density = np.where(drawn, found.density, np.nan)
    return Plot(
        "Spectrum of the Hessian",
        Axis("Eigenvalue"),
        Axis("Density", log=True),
        curves=(Curve("Density", found.grid, density, style="path"),),
        scatters=(
            Scatter("Largest", found.top, np.full(len(found.top), floor)),
            Scatter("Smallest", found.bottom, np.full(len(found.bottom), floor)),
        ),
    )
