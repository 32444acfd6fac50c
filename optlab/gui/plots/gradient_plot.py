"""Norms of gradients, updates and weights, and the learning rate."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from optlab.gui.plots.run_series_plot import Line, RunSeriesPlot

_LINES = (
    Line("gradient_norm", "Batch gradient norm", 0, pale=True),
    Line("full_gradient_norm", "Full gradient norm", 3, strong=True, sparse=True),
    Line("update_norm", "Update norm", 1),
    Line("learning_rate", "Learning rate", 2, strong=True, shown=False),
    Line("weight_norm", "Weight norm", 4, strong=True, shown=False, optional=True),
    Line("clipped_share", "Clipped share", 5, pale=True, shown=False, optional=True),
    Line("gradient_evaluations", "Gradient evaluations", 6, shown=False, optional=True),
)


class GradientPlot(RunSeriesPlot):
    """Norms of gradients and updates, initially on a logarithmic axis.

    The legend also offers the weight norm, the learning rate, the share of components that clipping
    changed, and where steps take several the number of gradients evaluated so far.
    """

    tile_title = "Gradient norms"
    tile_row, tile_position = 1, 0

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_LINES, "Norm", log_y=True, parent=parent)
        self.setAccessibleName("Gradient and update norm over steps")
