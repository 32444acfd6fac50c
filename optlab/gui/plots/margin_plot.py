"""Margins: the mean of the correct class's output minus the largest other output."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from optlab.gui.plots.plot_frame import NOTHING_YET
from optlab.gui.plots.run_series_plot import Line, RunSeriesPlot

_LINES = (
    Line("margin", "Training", 0, strong=True),
    Line("validation_margin", "Validation", 1, strong=True, dashes=(4.0, 2.0)),
)
NO_CLASSES = "A regression has no margin, because it has no classes."


class MarginPlot(RunSeriesPlot):
    """Series ``margin`` and ``validation_margin``; misclassified examples have negative margins."""

    tile_title = "Margins"
    tile_row, tile_position = 0, 2

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_LINES, "Margin", parent=parent)
        self.setAccessibleName("Margins over steps")

    def set_task(self, task: str) -> None:
        """Set the task: ``classes``, or ``regression``, for which a message replaces the plot."""
        self.empty_text = NO_CLASSES if task == "regression" else NOTHING_YET
        self.legend.setVisible(task != "regression")
        self._mark_stale(soon=True)
