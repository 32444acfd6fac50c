"""A plot of one series of watched runs: a curve a run, or a curve a tensor of one run."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PySide6.QtWidgets import QWidget

from optlab.experiment.series_labels import watched_label
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.outside.foreign_runs.records import ForeignSeries

MAX_CURVES = 12
"""Curves that are drawn at once: those of the first runs or tensors."""
_LOGARITHMIC = ("norm", "ratio", "surprise", "square")
"""Parts of the names of series whose values span powers of ten."""


class WatchedPlot(CurvePlot):
    """Draws a series.

    Args:
        series: its name.
    """

    def __init__(self, series: str, parent: QWidget | None = None) -> None:
        logarithmic = any(part in series for part in _LOGARITHMIC)
        super().__init__(watched_label(series), log_y=logarithmic, parent=parent)
        self.setAccessibleName(f"{watched_label(series)} over the steps")
        self.series_name = series
        self.by_column = False

    def add(self, run: str, label: str, color: int, series: ForeignSeries) -> None:
        """Append values of a run.

        Args:
            run: its id. label: what the legend calls it. color: index into the palette.
            series: the values, of one column or of several.
        """
        steps, rows = _increasing(series)
        for number, column in enumerate(series.columns or ("",)):
            self.by_column = bool(series.columns)
            key = f"{run}/{column}"
            if key not in self.keys:
                if len(self.keys) >= MAX_CURVES:
                    continue
                self.add_curve(key, column or label, number if column else color)
            self.append(key, steps, series.values[rows, number])

    def remove(self, run: str) -> None:
        """Remove the curves of a run."""
        for key in self.keys:
            if key.startswith(f"{run}/"):
                self.remove_curve(key)

    def keep(self, runs: Iterable[str]) -> None:
        """Remove the curves of all runs but these."""
        kept = tuple(f"{run}/" for run in runs)
        for key in self.keys:
            if not key.startswith(kept):
                self.remove_curve(key)


def _increasing(series: ForeignSeries) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps ``[m]`` in increasing order, and the rows ``[m]`` of the last value of each."""
    reverse = series.steps[::-1]
    steps, first = np.unique(reverse, return_index=True)
    return steps, len(reverse) - 1 - first
