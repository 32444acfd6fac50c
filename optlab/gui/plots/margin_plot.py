"""Margins: by how much the output of the right class exceeds the others, on average."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from optlab.gui.plots.plot_frame import NOTHING_YET
from optlab.gui.plots.run_series_plot import Line, RunSeriesPlot

_LINES = (
    Line("margin", "Training", 0, strong=True),
    Line("validation_margin", "Validation", 1, strong=True, dashes=(4.0, 2.0)),
)
NO_CLASSES = "A regression has no margin: there are no classes to tell apart."


class MarginPlot(RunSeriesPlot):
    """Series ``margin`` and ``validation_margin``; negative where most examples are wrong."""

    tile_title = "Margins"
    tile_row, tile_position = 0, 2

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_LINES, "Margin", parent=parent)
        self.setAccessibleName("Margins over steps")

    def set_task(self, task: str) -> None:
        """``classes``, or ``regression``, which has no margins and gets a sentence that says so."""
        self.empty_text = NO_CLASSES if task == "regression" else NOTHING_YET
        self.legend.setVisible(task != "regression")
        self._touch(soon=True)
