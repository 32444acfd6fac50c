"""Gradient norm, update norm and learning rate: how hard the loss pulls, and how far each step goes."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from optlab.gui.plots.run_series_plot import Line, RunSeriesPlot

_LINES = (
    Line("gradient_norm", "Batch gradient norm", 0, pale=True),
    Line("full_gradient_norm", "Full gradient norm", 3, strong=True, sparse=True),
    Line("update_norm", "Update norm", 1),
    Line("learning_rate", "Learning rate", 2, strong=True, shown=False),
)


class GradientPlot(RunSeriesPlot):
    """Series ``gradient_norm``, ``full_gradient_norm``, ``update_norm`` and, once switched on, ``learning_rate``, on a logarithmic axis at first."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_LINES, "Norm", log_y=True, parent=parent)
        self.setAccessibleName("Gradient and update norm over steps")
