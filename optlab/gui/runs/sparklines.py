"""Small curves of the training loss in the rows of runs, read when a row is first seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import (
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRectF,
    QTimer,
    Signal,
)
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from optlab.core.errors import StoreError
from optlab.gui import theme
from optlab.gui.bridge import TaskBridge
from optlab.gui.runs.shown_runs import color_of
from optlab.store import Store, StoredSeries
from optlab.tasks.run_table import RunRow
from optlab.tasks.task import Task
from optlab.training.control import Controls

Points = NDArray[np.float64]
POINTS = 32
"""Points of a curve: about one a pixel."""
SIZE = (34, 12)
"""Width and height of a curve in pixels."""
_SERIES = ("train_loss", "batch_loss")
_AT_ONCE = 64
_MARGIN = 8
_PAUSE_MILLISECONDS = 60
ROW = 0x0101
"""Role under which a model gives the :class:`RunRow` of an index; None where it is no run."""


@dataclass(frozen=True)
class SparklineTask(Task):
    """Read small curves of runs; the result is a mapping of ids to points ``[n, 2]`` in [0, 1].

    A run without such a series, or a damaged one, has no points.

    Attributes:
        run_ids: complete ids.
    """

    run_ids: tuple[str, ...]

    def run(self, controls: Controls) -> Iterator[Mapping[str, Points]]:
        """Read them; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            StoreError: the store cannot be read.
        """
        found: dict[str, Points] = {}
        with Store.open_readonly() as store:
            for run in self.run_ids:
                try:
                    series = store.series(run, _SERIES)
                except StoreError:
                    # The panel says which runs are damaged when they are shown.
                    series = {}
                known = next((series[name] for name in _SERIES if name in series), None)
                found[run] = points_of(known)
        yield found


def points_of(series: StoredSeries | None) -> Points:
    """Return at most ``POINTS`` points ``[n, 2]`` of a series, from 0 to 1 in both directions.

    Values are logarithmic where all are positive; those that are not finite are left out.
    """
    if series is None or series.values.ndim != 1:
        return np.empty((0, 2))
    finite = np.isfinite(series.values)
    steps, values = series.steps[finite].astype(float), series.values[finite]
    if len(steps) < 2:
        return np.empty((0, 2))
    chosen = np.unique(np.linspace(0, len(steps) - 1, POINTS).round().astype(int))
    steps, values = steps[chosen], values[chosen]
    if np.all(values > 0.0):
        values = np.log(values)
    return np.stack([_to_unit(steps), _to_unit(values)], axis=1)


def _to_unit(values: Points) -> Points:
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.full_like(values, 0.5)


class Sparklines(QObject):
    """Keeps the curves of the runs that were seen.

    Signals: ``read()``: curves have been read.
    """

    read = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._known: dict[str, tuple[int, Points]] = {}
        self._wanted: dict[str, int] = {}
        self.work = TaskBridge(None, self)
        self.work.answered.connect(self._answered)
        self.work.finished.connect(self._go_on)
        self._soon = QTimer(self, singleShot=True, interval=_PAUSE_MILLISECONDS)
        self._soon.timeout.connect(self._ask)
        self._asked: dict[str, int] = {}

    def of(self, row: RunRow) -> Points:
        """Return what is known of the curve of a run, and read on where it has grown."""
        run, steps = row.record.id, row.record.steps
        at, points = self._known.get(run, (-1, np.empty((0, 2))))
        if at != steps and self._asked.get(run) != steps:
            self._wanted[run] = steps
            self._go_on()
        return points

    def _go_on(self) -> None:
        if self._wanted and not self.work.active and not self._soon.isActive():
            self._soon.start()

    def _ask(self) -> None:
        # Those that were seen last are seen still.
        runs = list(self._wanted)[-_AT_ONCE:]
        self._asked = {run: self._wanted[run] for run in runs}
        self._wanted = {}
        self.work.ask(SparklineTask(tuple(runs)))

    def _answered(self, found: Mapping[str, Points]) -> None:
        for run, points in found.items():
            self._known[run] = self._asked.get(run, -1), points
        self.read.emit()

    def shut_down(self) -> None:
        """Cancel what is being read."""
        self._soon.stop()
        self.work.shut_down()


class SparklineDelegate(QStyledItemDelegate):
    """Draws the curve of a run at the end of its name, where the name leaves room for it.

    Args:
        sparklines: the curves. parent: the view.
    """

    def __init__(self, sparklines: Sparklines, parent: QObject) -> None:
        super().__init__(parent)
        self._sparklines = sparklines

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        super().paint(painter, option, index)
        row = index.data(ROW)
        points = np.empty((0, 2)) if row is None else self._sparklines.of(row)
        if len(points) < 2:
            return
        whole = QRectF(option.rect)
        width, height = SIZE
        filled = QStyleOptionViewItem(option)
        self.initStyleOption(filled, index)
        text: str = filled.text
        element = QStyle.SubElement.SE_ItemViewItemText
        room = QApplication.style().subElementRect(element, filled, None)
        name = filled.fontMetrics.horizontalAdvance(text)
        if room.left() + name + _MARGIN > whole.right() - width - _MARGIN:
            return
        box = QRectF(0, 0, width, height)
        box.moveCenter(whole.center())
        box.moveRight(whole.right() - _MARGIN / 2)
        curve = [
            QPointF(box.left() + x * box.width(), box.bottom() - y * box.height())
            for x, y in points.tolist()
        ]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        selected = bool(filled.state & QStyle.StateFlag.State_Selected)
        color = (
            filled.palette.highlightedText().color()
            if selected
            else QColor(theme.current().plots.curve(color_of(row)))
        )
        painter.setPen(QPen(color, 1.2))
        painter.drawPolyline(QPolygonF(curve))
        painter.restore()
