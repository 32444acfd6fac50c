"""The loss on a plane around the weights, at the step that is looked at."""

from __future__ import annotations

import numpy as np
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.colors import PlotColors
from optlab.gui.plots.contour_plot import ContourPlot
from optlab.gui.plots.model_tile import ModelTile
from optlab.gui.plots.relief import Relief, Track
from optlab.tasks.curvature_views import LossPlane, LossPlaneView


class LossPlanePlot(ModelTile):
    """Contours of the training objective around the weights."""

    tile_title = "Landscape at the step"
    tile_row, tile_position = 14, 1
    tile_at_first = False

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Loss on a plane around the weights at the step")
        self.contours = ContourPlot()
        self.contours.canvas.x_axis.set_label("random direction 1")
        self.contours.canvas.y_axis.set_label("random direction 2")
        self.set_body(self.contours)

    @property
    def view(self) -> LossPlaneView:
        """What is asked for."""
        return LossPlaneView()

    def draw(self, result: LossPlane) -> None:
        """Draw the contours, with the weights in the middle."""
        self.contours.set_relief(Relief(result.a, result.b, result.loss.T))
        self.contours.set_tracks([Track("Weights", 1, np.zeros((1, 2)))])
        self.contours.refresh()

    def describe(self, result: LossPlane) -> str:
        """Return the loss at the weights, and the smallest one on the plane."""
        here = result.loss[len(result.a) // 2, len(result.b) // 2]
        return (
            f"loss {here:.4g} · smallest on the plane {np.nanmin(result.loss):.4g} · "
            f"{result.examples:,} training examples"
        )

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        super().set_colors(colors)
        if hasattr(self, "contours"):
            self.contours.set_colors(colors)
