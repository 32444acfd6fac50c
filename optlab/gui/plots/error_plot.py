"""The 0-1 error: the share of examples whose most probable class is wrong."""

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
)
NO_CLASSES = "A regression has no 0-1 error: there are no classes to get wrong. Its loss says how far off it is."


class ErrorPlot(RunSeriesPlot):
    """Series ``train_error``, ``validation_error``, ``risk_error`` and
    ``averaged_validation_error`` in percent, from 0.
    """

    tile_title = "0-1 error"
    tile_row, tile_position = 0, 1

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_LINES, "0-1 error (%)", floor=0.0, scale=100.0, parent=parent)
        self.setAccessibleName("0-1 error over steps")

    def set_task(self, task: str) -> None:
        """``classes``, or ``regression``, which has no such error and gets a sentence that says so."""
        self.empty_text = NO_CLASSES if task == "regression" else NOTHING_YET
        self.legend.setVisible(task != "regression")
        self._touch(soon=True)
