"""A plot of any series of the run that is shown, which the user picks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PySide6.QtWidgets import QWidget

from optlab.experiment.series_labels import BETWEEN, series_label
from optlab.gui.plots.curve import Floats
from optlab.gui.plots.run_series_plot import Line, RunSeriesPlot
from optlab.gui.plots.value_export import StoredReader
from optlab.training.events import SeriesBlock


def choices(names: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return what can be picked of series: their names, or those of their columns.

    Args:
        names: name of each series → names of its columns, () where it has none.
    """
    picks: list[str] = []
    for name, columns in sorted(names.items()):
        picks += [f"{name}{BETWEEN}{column}" for column in columns] or [name]
    return picks


class SeriesPlot(RunSeriesPlot):
    """Series that were picked, on one axis.

    A series of several numbers a step offers each of its columns.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        self._columns_by_name: dict[str, tuple[str, ...]] = {}
        super().__init__((), "", parent=parent)
        self.empty_text = "Pick series…"
        self.setAccessibleName("Series over steps")

    @property
    def names(self) -> tuple[str, ...]:
        """What was picked."""
        return tuple(line.name for line in self._lines)

    @property
    def series(self) -> frozenset[str]:
        """Names of the series that it draws."""
        return frozenset(_split(name)[0] for name in self.names)

    def set_names(self, names: Sequence[str]) -> None:
        """Draw other series; all samples are removed."""
        unique = dict.fromkeys(names)
        self._lines = tuple(
            Line(name, series_label(name), number, strong=True, sparse=True)
            for number, name in enumerate(unique)
        )
        self._received.clear()
        self.canvas.y_axis.set_label(series_label(names[0]) if len(unique) == 1 else "")
        self.empty_text = "Nothing measured of this yet…" if unique else "Pick series…"
        self._rebuild()

    def add(self, block: SeriesBlock) -> None:
        """Append the values of a block: series ``[n, R]``, or columns of ``[n, R, K]``."""
        picked = {}
        for name in self.names:
            of, column = _split(name)
            series = block.series.get(of)
            if series is None:
                continue
            if not column:
                if series.values.ndim <= 2:
                    picked[name] = series
                continue
            if column in series.columns:
                values = series.values[:, :, series.columns.index(column)]
                picked[name] = replace(series, values=values, columns=())
        super().add(SeriesBlock(block.step, block.seconds, picked))

    def _stored_reader(self, key: str) -> StoredReader:
        name, _, row = key.rpartition(":")
        of, column = _split(name)
        source = self._value_source
        columns = self._columns_by_name.get(of, ())

        def read() -> tuple[NDArray[np.int64], Floats] | None:
            stored = None if source is None else source(of, int(row))
            if stored is None:
                return None
            steps, values = stored
            if column:
                values = values[:, columns.index(column)]
            finite = np.isfinite(values)
            return steps[finite], values[finite]

        return read

    def set_columns(self, columns: Mapping[str, Iterable[str]]) -> None:
        """Set the names of the columns of series, by which stored values are read."""
        self._columns_by_name = {name: tuple(names) for name, names in columns.items()}


def _split(name: str) -> tuple[str, str]:
    """Return the series and the column of what was picked; "" for no column."""
    of, _, column = name.partition(BETWEEN)
    return of, column
