"""The preview of schedules: each number over the steps of the run, as a small curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from optlab.experiment import Experiment
from optlab.gui import theme
from optlab.tasks.schedule_curves import RATE, ScheduleCurve, needs_examples, schedule_curves

_CURVE_HEIGHT = 74
_TEXT_HEIGHT = 15
_NUMBERS_WIDTH = 54


class SchedulePreview(QWidget):
    """Draws curves below each other; without any it takes no room."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._curves: tuple[ScheduleCurve, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Preview of the schedules")
        self.hide()

    @property
    def curves(self) -> tuple[ScheduleCurve, ...]:
        """The curves that are shown."""
        return self._curves

    def show_curves(self, curves: Sequence[ScheduleCurve]) -> None:
        """Draw these curves."""
        self._curves = tuple(curves)
        self.setVisible(bool(curves))
        self.setAccessibleDescription("; ".join(map(_sentence, curves)))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:  # Qt's name
        return QSize(300, len(self._curves) * _CURVE_HEIGHT)

    def minimumSizeHint(self) -> QSize:  # Qt's name
        return QSize(120, len(self._curves) * _CURVE_HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:  # Qt's name
        painter = QPainter(self)
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        for number, curve in enumerate(self._curves):
            frame = QRectF(0, number * _CURVE_HEIGHT, self.width(), _CURVE_HEIGHT - 4)
            self._paint(painter, frame.adjusted(0.5, 0.5, -0.5, -0.5), curve)
        painter.end()

    def _paint(self, painter: QPainter, frame: QRectF, curve: ScheduleCurve) -> None:
        colors = theme.current()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(colors.border))
        painter.setBrush(QColor(colors.base))
        painter.drawRoundedRect(frame, 4, 4)
        low, high = _range(curve)
        painter.setPen(QColor(colors.muted))
        right = Qt.AlignmentFlag.AlignRight
        numbers = frame.adjusted(4, 0, 0, 0)
        numbers.setWidth(_NUMBERS_WIDTH - 8)
        painter.drawText(
            numbers.adjusted(0, 3, 0, 0), right | Qt.AlignmentFlag.AlignTop, f"{high:.3g}"
        )
        plot = frame.adjusted(_NUMBERS_WIDTH, 6, -6, -_TEXT_HEIGHT - 3)
        if low < high:
            bottom = QRectF(numbers.left(), plot.bottom() - 12, numbers.width(), 14)
            painter.drawText(bottom, right | Qt.AlignmentFlag.AlignBottom, f"{low:.3g}")
        below = QRectF(plot.left(), plot.bottom() + 1, plot.width(), _TEXT_HEIGHT)
        text = f"{curve.label} over {curve.steps[-1] + 1:,} steps"
        painter.drawText(
            below,
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
            painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(below.width())),
        )
        painter.setPen(QPen(QColor(colors.accent), 1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(_polygon(curve, plot, low, high))


def drawable(
    experiment: Experiment | None, examples: int | None
) -> tuple[list[ScheduleCurve], list[ScheduleCurve]]:
    """Return the curve of the learning rate, and those of the other numbers.

    There is none of a constant rate, and none while something about them is not known.

    Args:
        experiment: None while it is invalid. examples: number of training examples; None while the
            data are not read.
    """
    if experiment is None or (examples is None and needs_examples(experiment)):
        return [], []
    curves = schedule_curves(experiment, examples)
    rate = [curve for curve in curves if curve.path == RATE and not experiment.schedule.constant]
    return rate, [curve for curve in curves if curve.path != RATE]


def _range(curve: ScheduleCurve) -> tuple[float, float]:
    """Return the ends of the vertical axis; it begins at 0, so that a small change looks small."""
    return min(0.0, float(curve.values.min())), float(curve.values.max())


def _polygon(curve: ScheduleCurve, plot: QRectF, low: float, high: float) -> QPolygonF:
    across = curve.steps / max(1, int(curve.steps[-1]))
    up = (curve.values - low) / max(high - low, np.finfo(float).tiny)
    return QPolygonF(
        [
            QPointF(plot.left() + x * plot.width(), plot.bottom() - y * plot.height())
            for x, y in zip(across.tolist(), up.tolist(), strict=True)
        ]
    )


def _sentence(curve: ScheduleCurve) -> str:
    return (
        f"{curve.label} from {curve.values[0]:.3g} to {curve.values[-1]:.3g}, at most "
        f"{curve.values.max():.3g}"
    )
