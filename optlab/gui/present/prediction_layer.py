"""The layer on which an audience's curve is drawn, over the empty axes of a plot."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPointF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.curve_plot import CurvePlot
from optlab.tasks.scenes.prediction import COLUMNS, Sketch

KEY = "prediction"
"""Key of the drawn curve in its plot."""
_COLOR = -1
"""Index of its color: the neutral one, which no series has."""
_NUDGE = 0.025
"""Share of the height by which an arrow key moves the pen."""


class PredictionLayer(QWidget):
    """Takes the mouse and the arrow keys, and puts the curve that they draw into a plot.

    Right draws at the height of the pen, Left takes back, Up and Down move the pen; Backspace
    removes the curve.

    Args:
        plot: over whose canvas the layer lies; its frame is set.

    Signals: ``changed()``: something was drawn or removed.
    """

    changed = Signal()

    def __init__(self, plot: CurvePlot) -> None:
        super().__init__(plot.canvas)
        self.sketch = Sketch()
        self._plot = plot
        self._column, self._height = 0, 0.5
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Draw the curve that you expect")
        self.setMouseTracking(False)
        plot.add_curve(KEY, "Expected", _COLOR, dashes=(3.0, 1.5), strong=True)
        plot.canvas.installEventFilter(self)
        self.setGeometry(plot.canvas.rect())

    def finish(self) -> None:
        """Stop drawing: the curve stays in the plot."""
        self._plot.canvas.removeEventFilter(self)
        self.hide()

    # --- the mouse and the keys -------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # Qt's name
        """Follow the size of the canvas."""
        if event.type() == QEvent.Type.Resize:
            self.setGeometry(self._plot.canvas.rect())
        return False

    def mousePressEvent(self, event: QMouseEvent) -> None:  # Qt's name
        self.sketch.lift()
        self._to(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # Qt's name
        self._to(event.position())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # Qt's name
        self.sketch.lift()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # Qt's name
        match event.key():
            case Qt.Key.Key_Right:
                self.sketch.draw((self._column + 0.5) / COLUMNS, self._height)
                self._column = min(self._column + 1, COLUMNS - 1)
            case Qt.Key.Key_Left:
                self._column = max(self._column - 1, 0)
                self.sketch.erase(self._column)
            case Qt.Key.Key_Up:
                self._height = min(self._height + _NUDGE, 1.0)
            case Qt.Key.Key_Down:
                self._height = max(self._height - _NUDGE, 0.0)
            case Qt.Key.Key_Backspace | Qt.Key.Key_Delete:
                self.sketch.clear()
                self._column = 0
            case _:
                super().keyPressEvent(event)
                return
        self._show()

    def _to(self, position: QPointF) -> None:
        area = self._plot.canvas.view.sceneBoundingRect()
        at = self._plot.canvas.mapToScene(position.toPoint())
        if area.width() <= 0 or area.height() <= 0:
            return
        across = (at.x() - area.left()) / area.width()
        up = (area.bottom() - at.y()) / area.height()
        self.sketch.draw(across, up)
        self._column = min(max(int(across * COLUMNS), 0), COLUMNS - 1)
        self._height = min(max(up, 0.0), 1.0)
        self._show()

    # --- drawing ----------------------------------------------------------------------------------

    def _show(self) -> None:
        (first, last), (low, high) = self._plot.view_range()
        steps, values = self.sketch.curve(
            first, last, low, high, log_x=self._plot.log_x, log_y=self._plot.log_y
        )
        # A series has one value a step, and a short run fewer steps than there are columns.
        whole, kept = np.unique(np.round(steps).astype(np.int64), return_index=True)
        self._plot.replace(KEY, whole, values[kept])
        self._plot.refresh()
        self.update()
        self.changed.emit()

    def paintEvent(self, event: QPaintEvent) -> None:  # Qt's name
        """Show the pen."""
        area = self._plot.canvas.view.sceneBoundingRect()
        colors = self._plot.colors
        across = (self._column + 0.5) / COLUMNS
        at = QPointF(
            area.left() + across * area.width(), area.bottom() - self._height * area.height()
        )
        radius = 5.0 * colors.scale
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(colors.curve(_COLOR)), 2.0 * colors.scale))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(at, radius, radius)
