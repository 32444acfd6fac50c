"""The step track: a slider over the steps of a run, with its snapshots and changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QPointF, QRect, QSignalBlocker, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QSlider, QStyle, QStyleOptionSlider, QWidget

from optlab.gui import theme

_LARGEST = 2_000_000_000
"""Largest position that a slider of Qt has; longer runs are scaled."""
_TICK = 3
_DIAMOND = 4


class StepTrack(QSlider):
    """A slider over steps.

    Attributes:
        snapshots, changes: steps that are marked, by a tick and by a diamond.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setAccessibleName("Step that is looked at")
        self.setToolTip(
            "Drag to look at an earlier step. Ticks are snapshots, diamonds are changes."
        )
        self.snapshots: set[int] = set()
        self.changes: set[int] = set()
        self._scale = 1
        self.setRange(0, 0)

    @property
    def step(self) -> int:
        """The step that the handle is at."""
        return self.value() * self._scale

    def set_steps(self, first: int, last: int) -> None:
        """Set the first and the last step of the run; the handle stays at its step."""
        step = self.step
        self._scale = 1 + last // _LARGEST
        # A handle that the range pushes was not moved by the user.
        with QSignalBlocker(self):
            self.setRange(-(-first // self._scale), last // self._scale)
        self.setPageStep(max(1, (self.maximum() - self.minimum()) // 20))
        self.set_step(step)

    def set_step(self, step: int) -> None:
        """Put the handle at a step, without a signal."""
        before = self.blockSignals(True)
        self.setValue(step // self._scale)
        self.blockSignals(before)
        self.update()

    def set_marks(self, snapshots: Sequence[int], changes: Sequence[int]) -> None:
        """Mark the steps of snapshots and of changes."""
        self.snapshots, self.changes = set(snapshots), set(changes)
        self.update()

    def position_of(self, step: int) -> int:
        """Return the horizontal position of a step, in pixels."""
        return self._positions()(step)

    def _positions(self) -> Callable[[int], int]:
        """Return the function from a step to its position; the style is asked once."""
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        groove = self._part(option, QStyle.SubControl.SC_SliderGroove)
        handle = self._part(option, QStyle.SubControl.SC_SliderHandle)
        span = groove.width() - handle.width()
        first, last, scale = self.minimum(), self.maximum(), self._scale
        left = groove.left() + handle.width() // 2
        return lambda step: left + QStyle.sliderPositionFromValue(first, last, step // scale, span)

    def _part(self, option: QStyleOptionSlider, part: QStyle.SubControl) -> QRect:
        return self.style().subControlRect(QStyle.ComplexControl.CC_Slider, option, part, self)

    def paintEvent(self, event: QPaintEvent) -> None:  # Qt's name
        super().paintEvent(event)
        colors = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(colors.muted)
        position_of = self._positions()
        drawn: set[int] = set()
        for step in self.snapshots:
            x = position_of(step)
            if x not in drawn:  # thousands of snapshots are as many ticks as there are pixels
                drawn.add(x)
                painter.drawLine(x, self.height() - _TICK, x, self.height())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.accent)
        for step in sorted(self.changes):
            at = float(position_of(step))
            painter.drawPolygon(
                QPolygonF(
                    [
                        QPointF(at, 0.0),
                        QPointF(at + _DIAMOND, _DIAMOND),
                        QPointF(at, 2.0 * _DIAMOND),
                        QPointF(at - _DIAMOND, _DIAMOND),
                    ]
                )
            )
        painter.end()
