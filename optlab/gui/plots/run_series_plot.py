"""A plot of some series of a run, or of a few runs at once.

One run: a color a series. Several: a color a run, each series keeping its way of being drawn, and
the legend switches both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.curve_plot import CurvePlot
from optlab.training.events import SeriesBlock

MOST_RUNS = 8
"""Runs whose curves can still be told apart."""


@dataclass(frozen=True)
class Line:
    """How a series is drawn.

    Attributes:
        name: of the series. optional: whether most runs have none, so that the legend names it only
            once it has come. sparse: whether a run may have no value (NaN) at a step at which
            another has one; its curve then goes on. The rest: as in :meth:`CurvePlot.add_curve`.
    """

    name: str
    label: str
    color: int
    dashes: tuple[float, ...] = ()
    pale: bool = False
    strong: bool = False
    shown: bool = True
    optional: bool = False
    sparse: bool = False


class RunSeriesPlot(CurvePlot):
    """Draws the series it knows from the blocks it is given.

    Args:
        lines: what to draw. y_label, log_y, floor: as in :class:`CurvePlot`. scale: values are
            multiplied by it (100 for percent).
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
        self._scale = scale
        self._runs = 1
        self._came: set[str] = set()
        self._chosen: tuple[int, ...] | None = None
        self._set_up()

    @property
    def series(self) -> frozenset[str]:
        """Names of the series that are drawn."""
        return frozenset(line.name for line in self._lines)

    @property
    def rows(self) -> tuple[int, ...]:
        """Which runs are drawn: those chosen, else the first eight."""
        return (
            self._chosen if self._chosen is not None else tuple(range(min(self._runs, MOST_RUNS)))
        )

    def set_rows(self, rows: Sequence[int] | None) -> None:
        """Draw these runs (at most eight) from now on, or with None the first eight; what was drawn
        is forgotten.
        """
        self._chosen = None if rows is None else tuple(rows)[:MOST_RUNS]
        self._set_up()

    def _set_up(self) -> None:
        self.remove_all()
        several = len(self.rows) > 1
        if several:
            for place, row in enumerate(self.rows):
                self.add_group(f"run {row}", f"Run {row + 1}", place)
        for line in self._lines:
            if not line.optional or line.name in self._came:
                self._add(line)
        self._steady.forget()
        self.follow()

    def _add(self, line: Line) -> None:
        several = len(self.rows) > 1
        if several:
            self.add_group(
                line.name, line.label, dashes=line.dashes, pale=line.pale, shown=line.shown
            )
        for place, row in enumerate(self.rows):
            self.add_curve(
                f"{line.name}:{row}",
                f"{line.label}, run {row + 1}" if several else line.label,
                place if several else line.color,
                dashes=line.dashes,
                pale=line.pale,
                strong=line.strong,
                shown=line.shown,
                groups=(f"run {row}", line.name) if several else (),
            )

    def clear(self) -> None:
        """Forget all samples and marks, and the curves that the next run may not have."""
        super().clear()
        for line in self._lines:
            if line.name in self._came:
                for row in self.rows:
                    self.remove_curve(f"{line.name}:{row}")
                if len(self.rows) > 1:
                    self.legend.remove(line.name)
        self._came.clear()

    def take(self, block: SeriesBlock) -> None:
        """Add a block's values: series ``[n, R]``."""
        for line in self._lines:
            series = block.series.get(line.name)
            if series is None:
                continue
            values = series.values.reshape(len(series.steps), -1)
            if values.shape[1] != self._runs:
                self._runs = values.shape[1]
                self._set_up()
            if line.optional and line.name not in self._came:
                self._came.add(line.name)
                self._add(line)
            for row in self.rows:
                if row < self._runs:
                    steps, column = series.steps, values[:, row]
                    if line.sparse:
                        there = np.isfinite(column)
                        steps, column = steps[there], column[there]
                    self.append(
                        f"{line.name}:{row}",
                        steps,
                        column * self._scale if self._scale != 1.0 else column,
                    )
