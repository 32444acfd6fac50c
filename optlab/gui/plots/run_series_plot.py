"""A plot of some series of one run or of several.

With one run, each series has its color. With several, each run has its color, each series keeps its
line style, and the legend switches both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.curve import Floats
from optlab.gui.plots.overlaid_plot import Line, OverlaidPlot
from optlab.gui.plots.value_export import StoredReader
from optlab.training.events import SeriesBlock

__all__ = ["MAX_RUNS", "Line", "RunSeriesPlot"]

MAX_RUNS = 8
"""Runs that are drawn at once: more colors cannot be distinguished."""


class RunSeriesPlot(OverlaidPlot):
    """A plot that draws certain series from the blocks of a run.

    Args:
        lines: the series to draw. y_label, log_y, floor: as in :class:`CurvePlot`. scale: factor
            of the values (100 for percent).
    """

    def __init__(
        self,
        lines: Sequence[Line],
        y_label: str,
        *,
        log_y: bool = False,
        floor: float | None = None,
        scale: float = 1.0,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(y_label, log_y=log_y, floor=floor, parent=parent)
        self._lines = tuple(lines)
        self._factor = scale
        self._runs = 1
        self._received: set[str] = set()
        self._chosen_rows: tuple[int, ...] | None = None
        self._rebuild()

    @property
    def series(self) -> frozenset[str]:
        """Names of the series that are drawn."""
        return frozenset(line.name for line in self._lines)

    @property
    def lines(self) -> Sequence[Line]:
        """The series that are drawn, in the order of the legend."""
        return self._lines

    def own_key(self, line: Line) -> str:
        """Return the key of the curve of a line of the run that the plot follows."""
        return f"{line.name}:0"

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of the runs that are drawn: those set by :meth:`set_rows`, else the first eight."""
        return (
            self._chosen_rows
            if self._chosen_rows is not None
            else tuple(range(min(self._runs, MAX_RUNS)))
        )

    def set_rows(self, rows: Sequence[int] | None) -> None:
        """Draw these runs (at most eight), or with None the first eight; remove all samples."""
        self._chosen_rows = None if rows is None else tuple(rows)[:MAX_RUNS]
        self._rebuild()

    def _rebuild(self) -> None:
        self.remove_own()
        several = len(self.rows) > 1
        if several:
            for color, row in enumerate(self.rows):
                self.add_group(f"run {row}", f"Run {row + 1}", color)
        for line in self._lines:
            if not line.optional or line.name in self._received:
                self._add(line)
        self.rearrange()
        self._steady.reset()
        self.follow()

    def _add(self, line: Line) -> None:
        several = len(self.rows) > 1
        if several:
            self.add_group(
                line.name, line.label, dashes=line.dashes, pale=line.pale, shown=line.shown
            )
        for color, row in enumerate(self.rows):
            self.add_curve(
                f"{line.name}:{row}",
                f"{line.label}, run {row + 1}" if several else line.label,
                color if several else line.color,
                dashes=line.dashes,
                pale=line.pale,
                strong=line.strong,
                shown=line.shown,
                groups=(f"run {row}", line.name) if several else (),
            )

    def clear(self) -> None:
        """Remove all samples and marks, and the curves of optional series."""
        super().clear()
        for line in self._lines:
            if line.name in self._received:
                for row in self.rows:
                    self.remove_curve(f"{line.name}:{row}")
                if len(self.rows) > 1:
                    self.legend.remove(line.name)
        self._received.clear()
        self.rearrange()

    def _own_reader(self, key: str) -> StoredReader:
        name, _, row = key.rpartition(":")
        # Of the run that is shown now, even if another one is shown when the function is called.
        source, scale = self._value_source, self._factor
        sparse = any(line.sparse for line in self._lines if line.name == name)

        def read() -> tuple[NDArray[np.int64], Floats] | None:
            stored = None if source is None else source(name, int(row))
            if stored is None:
                return None
            steps, values = stored
            if sparse:
                finite = np.isfinite(values)
                steps, values = steps[finite], values[finite]
            return steps, values * scale

        return read

    def add(self, block: SeriesBlock) -> None:
        """Append the values of a block: series ``[n, R]``."""
        for line in self._lines:
            series = block.series.get(line.name)
            # A run that has just begun, or is followed from a step on, may lack some series.
            if series is None or not len(series.steps):
                continue
            values = series.values.reshape(len(series.steps), -1)
            if values.shape[1] != self._runs:
                self._runs = values.shape[1]
                self._rebuild()
            if line.optional and line.name not in self._received:
                self._received.add(line.name)
                self._add(line)
                self.rearrange()
            for row in self.rows:
                if row < self._runs:
                    steps, column = series.steps, values[:, row]
                    if line.sparse:
                        finite = np.isfinite(column)
                        steps, column = steps[finite], column[finite]
                    self.append(
                        f"{line.name}:{row}",
                        steps,
                        column * self._factor if self._factor != 1.0 else column,
                    )
