"""Losses over steps: of batches, of the training and validation sets, and of fresh examples."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from optlab.gui.plots.run_series_plot import Line, RunSeriesPlot

_LINES = (
    Line("batch_loss", "Batch", 0, pale=True),
    Line("train_loss", "Training", 0, strong=True),
    Line("validation_loss", "Validation", 1, strong=True, dashes=(4.0, 2.0)),
    Line("risk_loss", "Fresh examples", 2, strong=True, dashes=(1.0, 2.0), optional=True),
    Line("averaged_train_loss", "Training, averaged", 3, strong=True, optional=True),
    Line(
        "averaged_validation_loss",
        "Validation, averaged",
        4,
        strong=True,
        dashes=(4.0, 2.0),
        optional=True,
    ),
    Line("point_train_loss", "Training, at the gradient", 7, pale=True, optional=True),
    Line(
        "point_validation_loss",
        "Validation, at the gradient",
        7,
        shown=False,
        dashes=(4.0, 2.0),
        optional=True,
    ),
    Line("penalty", "Penalty", 5, shown=False, optional=True),
    Line("risk_gap", "Risk minus training loss", 6, dashes=(1.0, 2.0), shown=False, optional=True),
    Line("risk_excess", "Risk above its minimum", 7, shown=False, optional=True),
)


class LossPlot(RunSeriesPlot):
    """Losses, also at averages and where gradients are evaluated; initially on a logarithmic axis.

    The legend also offers the penalty and the gap between risk and training loss.
    """

    tile_title = "Loss"
    tile_row, tile_position = 0, 0

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_LINES, "Loss", log_y=True, parent=parent)
        self.setAccessibleName("Loss over steps")
