"""The values of the run that is shown, for a plot that is built while they are there already.

What is stored is read in the background; the newest values, which may not be stored yet, are kept
here until then. A plot skips steps that it has, so the two may overlap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from optlab.gui.bridge import TaskBridge
from optlab.gui.plots.tiles import DrawsSeries
from optlab.gui.plots.value_export import ValueSource
from optlab.tasks.task import Task
from optlab.training.control import Controls
from optlab.training.events import Series, SeriesBlock

_MAX_BYTES = 16 * 2**20
"""Bytes of blocks that are kept: many times what is waiting to be stored."""
_MAX_BLOCKS = 3000
"""Blocks that are kept: those of a hundred seconds."""
_CLOCK = "batch_loss"
"""A series that has a value at every step, by which it is seen whether steps are missing."""
_AGAIN_MILLISECONDS = 300
_MAX_READINGS = 10
"""Readings of the store until the oldest block that is kept follows what is stored."""


@dataclass(frozen=True)
class StoredSeriesTask(Task):
    """Read all stored values of some series of the runs that are shown.

    The result is a block, or None where nothing is stored. The task holds a function, so it is
    executed in a thread of this process.

    Attributes:
        names: of the series. rows: number of runs. source: reads a series of a run.
    """

    names: tuple[str, ...]
    rows: int
    source: ValueSource = field(repr=False)

    def run(self, controls: Controls) -> Iterator[SeriesBlock | None]:
        """Read them; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.
        """
        series: dict[str, Series] = {}
        for name in self.names:
            stored = [self.source(name, row) for row in range(self.rows)]
            columns = [values for _, values in filter(None, stored)]
            first = stored[0] if stored else None
            if first is None or len({values.shape for values in columns}) != 1:
                continue
            if len(columns) == self.rows:
                series[name] = Series(first[0], np.stack(columns, axis=1))
        last = max((int(one.steps[-1]) for one in series.values() if len(one.steps)), default=0)
        yield SeriesBlock(last, 0.0, series) if series else None


class RecentValues(QObject):
    """Keeps the newest blocks, and gives a plot all values.

    Attributes:
        names: name of each series of the run → names of its columns, () where it has none.

    Signals: ``namesChanged()``: the run has a series that it had not.
    """

    namesChanged = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.names: dict[str, tuple[str, ...]] = {}
        self._blocks: deque[SeriesBlock] = deque()
        self._bytes = 0
        self._rows = 1
        self._whole = True
        self._source: ValueSource | None = None
        self._readings: dict[int, TaskBridge] = {}

    def set_source(self, source: ValueSource | None) -> None:
        """Set where stored values are read; None for nowhere."""
        self._source = source

    def clear(self) -> None:
        """Forget the run."""
        self.shut_down()
        self._blocks.clear()
        self._bytes, self._whole = 0, True
        self._source = None
        if self.names:
            self.names.clear()
            self.namesChanged.emit()

    def add(self, block: SeriesBlock) -> None:
        """Keep a block."""
        known = len(self.names)
        for name, series in block.series.items():
            if name not in self.names or (series.columns and not self.names[name]):
                self.names[name] = series.columns or ()
            if series.values.ndim > 1:
                self._rows = series.values.shape[1]
        self._blocks.append(block)
        self._bytes += _size(block)
        while len(self._blocks) > 1 and (
            self._bytes > _MAX_BYTES or len(self._blocks) > _MAX_BLOCKS
        ):
            self._bytes -= _size(self._blocks.popleft())
            self._whole = False
        if len(self.names) != known:
            self.namesChanged.emit()

    @property
    def blocks(self) -> tuple[SeriesBlock, ...]:
        """The blocks that are kept, the oldest first."""
        return tuple(self._blocks)

    def replay(self, plot: DrawsSeries) -> None:
        """Give a plot all values of the run: what is kept now, or as soon as the rest was read."""
        self._end_reading(plot)
        if self._whole or self._source is None:
            for block in self._blocks:
                plot.add(block)
        else:
            self._read(plot, 1)

    def waits(self, plot: object) -> bool:
        """Return whether a plot waits for stored values and must not get newer ones before."""
        return id(plot) in self._readings

    def shut_down(self) -> None:
        """Read no more."""
        for bridge in self._readings.values():
            bridge.shut_down()
            bridge.deleteLater()
        self._readings.clear()

    def _end_reading(self, plot: DrawsSeries) -> None:
        bridge = self._readings.pop(id(plot), None)
        if bridge is not None:
            bridge.shut_down()
            bridge.deleteLater()

    def _read(self, plot: DrawsSeries, reading: int) -> None:
        assert self._source is not None
        bridge = self._readings.get(id(plot))
        if bridge is None:
            bridge = self._readings[id(plot)] = TaskBridge(None, self)
            state = [reading]
            bridge.answered.connect(lambda block: self._answered(plot, block, state))
            # What cannot be read is missing, and what is kept is drawn.
            bridge.failed.connect(lambda _sentence: self._complete(plot, None))
        bridge.ask(
            StoredSeriesTask(tuple(sorted({*plot.series, _CLOCK})), self._rows, self._source)
        )

    def _answered(self, plot: DrawsSeries, block: SeriesBlock | None, state: list[int]) -> None:
        if self._follows(block) or state[0] >= _MAX_READINGS:
            self._complete(plot, block)
            return
        state[0] += 1
        bridge = self._readings[id(plot)]
        QTimer.singleShot(_AGAIN_MILLISECONDS, bridge, lambda: self._read(plot, state[0]))

    def _follows(self, block: SeriesBlock | None) -> bool:
        """Return whether nothing is missing between what is stored and what is kept."""
        if block is None:
            return False
        stored = block.series.get(_CLOCK)
        kept = next((one.series[_CLOCK] for one in self._blocks if _CLOCK in one.series), None)
        if stored is None or kept is None or not len(stored.steps) or not len(kept.steps):
            return True
        return bool(stored.steps[-1] >= kept.steps[0] - 1)

    def _complete(self, plot: DrawsSeries, block: SeriesBlock | None) -> None:
        self._end_reading(plot)
        if block is not None:
            plot.add(block)
        for kept in self._blocks:
            plot.add(kept)


def _size(block: SeriesBlock) -> int:
    return sum(series.steps.nbytes + series.values.nbytes for series in block.series.values())
