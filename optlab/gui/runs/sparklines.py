"""Small curves of the training loss in the rows of runs, read when a row is first seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PySide6.QtCore import (
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QRectF,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from optlab.gui import theme
from optlab.gui.bridge import TaskBridge
from optlab.gui.runs.shown_runs import color_of
from optlab.tasks.run_table import RunRow
from optlab.tasks.sparklines import Points, SparklineTask

HEIGHT = 12
"""Height of a curve in pixels."""
WIDTHS = (22, 34)
"""Least and greatest width of a curve in pixels."""
_SHARE = 0.16
"""Share of the width of its row that a curve takes, within these bounds."""
_NARROWEST = 96
"""Width of a row, in pixels, below which its name gets all of it."""
_AT_ONCE = 64
_MARGIN = 8
_PAUSE_MILLISECONDS = 60
ROW = 0x0101
"""Role under which a model gives the :class:`RunRow` of an index; None where it is no run."""


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


def curve_box(row: QRect) -> QRectF:
    """Return where in a row its curve is drawn; empty where the row is too narrow for one."""
    if row.width() < _NARROWEST:
        return QRectF()
    least, greatest = WIDTHS
    box = QRectF(0, 0, min(greatest, max(least, round(_SHARE * row.width()))), HEIGHT)
    box.moveCenter(QRectF(row).center())
    box.moveRight(row.right() - _MARGIN / 2)
    return box


class SparklineDelegate(QStyledItemDelegate):
    """Draws the curve of a run behind its name, which is shortened in its middle to leave room.

    The end of a name often tells runs apart.

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
        row = index.data(ROW)
        points = np.empty((0, 2)) if row is None else self._sparklines.of(row)
        box = curve_box(option.rect) if len(points) >= 2 else QRectF()
        filled = QStyleOptionViewItem(option)
        self.initStyleOption(filled, index)
        style = QApplication.style() if option.widget is None else option.widget.style()
        room = style.subElementRect(QStyle.SubElement.SE_ItemViewItemText, filled, option.widget)
        end = box.left() if box.width() else room.right()
        filled.text = filled.fontMetrics.elidedText(
            filled.text, Qt.TextElideMode.ElideMiddle, int(end - room.left()) - _MARGIN
        )
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, filled, painter, option.widget)
        if not box.width():
            return
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
