"""An axis with our ticks, whose breadth only ever grows: a new range does not make the plot
tremble.

It is kept as a picture between frames: drawing its texts costs more than drawing the curves.
"""

from __future__ import annotations

from typing import Any, cast

import pyqtgraph as pg
from PySide6.QtCore import QRectF, QTimer
from PySide6.QtGui import QFontMetricsF
from PySide6.QtWidgets import QGraphicsItem

from optlab.gui.plots.colors import PlotColors, mixed
from optlab.gui.plots.ticks import (
    Levels,
    linear_ticks,
    log_texts,
    log_ticks,
    step_texts,
    value_texts,
)

_USUAL = "−0.005"
"""A text that the axis has room for from the beginning."""
_STEP = 10.0
"""Pixels by which the breadth grows at least."""


class PlotAxis(pg.AxisItem):
    """An axis of steps (``bottom``) or values (``left``).

    Args:
        side: ``"left"`` or ``"bottom"``. steps: whether texts use SI prefixes.
    """

    # Asked for before the constructor is done and after the label is gone, so it depends on
    # neither.
    _room = 0.0

    def __init__(self, side: str, *, steps: bool = False) -> None:
        super().__init__(side, maxTickLength=-4)
        self._steps = steps
        self._label = ""
        self.exponent = 0
        """What is drawn is the value times ``10**-exponent``."""
        self.enableAutoSIPrefix(False)
        self.setStyle(maxTextLevel=0, tickTextOffset=4, autoExpandTextSpace=False)
        self.setGrid(255)
        self.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)
        self._breadth = 0.0

    def set_label(self, text: str) -> None:
        """Name the axis, with its unit."""
        self._label = text
        self.setLabel(text)
        self.fit()

    def fit(self) -> None:
        """Take the breadth that the font needs."""
        metrics = QFontMetricsF(self.label.font())
        label = metrics.height() + 2 if self._label else 0
        if self.orientation == "left":
            self._breadth = metrics.horizontalAdvance(_USUAL) + 12.0
            self._room = metrics.height() / 2
            self.setWidth(self._breadth + label)
        else:
            self._room = metrics.horizontalAdvance("000.00k") / 2
            self.setHeight(metrics.height() + 6 + label)

    def set_colors(self, colors: PlotColors) -> None:
        """Follow the theme."""
        self.setPen(mixed(colors.grid, colors.foreground, 0.35))
        self.setTickPen(colors.grid)
        self.setTextPen(mixed(colors.foreground, colors.background, 0.2))

    @property
    def log(self) -> bool:
        """Whether the axis shows logarithms."""
        return bool(self.logMode)

    def tickValues(self, minVal: float, maxVal: float, size: float) -> Levels:
        low, high = min(minVal, maxVal), max(minVal, maxVal)
        metrics = QFontMetricsF(self.label.font())
        apart = (
            metrics.height() * 2.2
            if self.orientation == "left"
            else metrics.horizontalAdvance("000.00k") * 1.6
        )
        return (log_ticks if self.log else linear_ticks)(low, high, size, apart)

    def tickStrings(self, values: list[float], scale: float, spacing: float | None) -> list[str]:
        texts = self._texts(values, spacing)
        if self.orientation == "left" and texts:
            metrics = QFontMetricsF(self.label.font())
            needed = max(metrics.horizontalAdvance(text) for text in texts) + 12.0
            if needed > self._breadth:
                self._breadth = needed + _STEP
                # Not while the axis is being painted.
                QTimer.singleShot(0, self, self._widen)
        return texts

    def boundingRect(self) -> QRectF:
        # Room for the text of a tick at the very end, which pyqtgraph leaves out where there is a
        # grid.
        room = self._room
        drawn = cast(QRectF, super().boundingRect())
        return drawn.adjusted(
            *((0.0, -room, 0.0, room) if self.orientation == "left" else (-room, 0.0, room, 0.0))
        )

    def _widen(self) -> None:
        metrics = QFontMetricsF(self.label.font())
        self.setWidth(self._breadth + (metrics.height() + 2 if self._label else 0))

    def _texts(self, values: list[float], spacing: float | None) -> list[str]:
        if not values:
            return []
        if self.log:
            return log_texts(values, steps=self._steps)
        if self._steps:
            return step_texts(values, spacing or 1.0)
        return value_texts(values, spacing or 1.0, self.exponent)

    def wheelEvent(self, event: Any) -> None:
        super().wheelEvent(event)
        # Without this the wheel would zoom a second time in the view behind.
        event.accept()
