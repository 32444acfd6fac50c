"""The 0-1 error: the share of misclassified examples."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from optlab.gui.plots.plot_frame import NOTHING_YET
from optlab.gui.plots.run_series_plot import Line, RunSeriesPlot

_LINES = (
    Line("train_error", "Training", 0, strong=True),
    Line("validation_error", "Validation", 1, strong=True, dashes=(4.0, 2.0)),
    Line("risk_error", "Fresh examples", 2, strong=True, dashes=(1.0, 2.0), optional=True),
    Line(
        "averaged_validation_error",
        "Validation, averaged",
        4,
        strong=True,
        dashes=(4.0, 2.0),
        optional=True,
    ),
    Line(
        "point_validation_error",
        "Validation, at the gradient",
        7,
        pale=True,
        dashes=(4.0, 2.0),
        optional=True,
    ),
)
NO_CLASSES = "A regression has no 0-1 error, because it has no classes. See the loss instead."


class ErrorPlot(RunSeriesPlot):
    """The 0-1 errors in percent, on an axis that starts at 0.

    It draws ``train_error``, ``validation_error``, ``risk_error``,
    ``averaged_validation_error`` and ``point_validation_error``.
    """

    tile_title = "0-1 error"
    tile_row, tile_position = 0, 1

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_LINES, "0-1 error (%)", floor=0.0, scale=100.0, parent=parent)
        self.setAccessibleName("0-1 error over steps")

    def set_task(self, task: str) -> None:
        """Set the task: ``classes``, or ``regression``, for which a message replaces the plot."""
        self.empty_text = NO_CLASSES if task == "regression" else NOTHING_YET
        self.legend.setVisible(task != "regression")
        self._mark_stale(soon=True)
