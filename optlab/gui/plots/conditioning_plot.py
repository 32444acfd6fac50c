"""Tiles of the conditioning instrument: gᵀg beside gᵀHg, predicted beside actual change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.run_series_plot import Line, RunSeriesPlot
from optlab.training.events import SeriesBlock

_SWITCH_ON = (
    "Nothing measured yet. Switch on the instrument Conditioning, in the tile Instruments or in the "
    "experiment."
)
_NEGATIVE = "conditioning.ghg.negative"
"""Name under which the magnitude of negative values of gᵀHg is drawn."""


class CurvaturePlot(RunSeriesPlot):
    """gᵀg and gᵀHg on one logarithmic axis (8.10).

    Where gᵀHg is negative, −gᵀHg is a curve of its own.
    """

    tile_title = "gᵀg and gᵀHg"
    tile_row, tile_position = 12, 0
    tile_at_first = False

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            (
                Line("conditioning.gg", "gᵀg", 0, strong=True),
                Line("conditioning.ghg", "gᵀHg", 1, strong=True),
                Line(_NEGATIVE, "−gᵀHg, where negative", 1, dashes=(2.0, 2.0), optional=True),
            ),
            "gᵀg, gᵀHg",
            log_y=True,
            parent=parent,
        )
        self.setAccessibleName("gᵀg and gᵀHg over steps")
        self.empty_text = _SWITCH_ON
        self.follow()

    def add(self, block: SeriesBlock) -> None:
        """Append the values of a block: series ``[n, R]``."""
        curvature = block.series.get("conditioning.ghg")
        if curvature is not None and bool((curvature.values < 0.0).any()):
            values = np.where(curvature.values < 0.0, -curvature.values, np.nan)
            negative = replace(curvature, values=values)
            block = replace(block, series={**block.series, _NEGATIVE: negative})
        super().add(block)


class ChangePlot(RunSeriesPlot):
    """Predicted and actual change of the objective in the step that was really taken.

    The prediction is gᵀd + ½ dᵀHd for the step d, which for plain gradient descent is
    −εgᵀg + ½ε²gᵀHg.
    """

    tile_title = "Predicted and actual change"
    tile_row, tile_position = 12, 1
    tile_at_first = False

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            (
                Line("conditioning.predicted", "Predicted: gᵀd + ½dᵀHd", 0, dashes=(4.0, 2.0)),
                Line("conditioning.actual", "Actual", 1),
            ),
            "Change of the objective",
            parent=parent,
        )
        self.setAccessibleName("Predicted and actual change over steps")
        self.empty_text = _SWITCH_ON
        self.follow()
