"""An axis with round ticks, whose thickness never shrinks: the plot stays put as ranges change.

It is cached as a pixmap between frames: drawing its labels costs more than drawing the curves.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any, cast

import pyqtgraph as pg
from PySide6.QtCore import QRectF, Qt, QTimer
from PySide6.QtGui import QFontMetricsF
from PySide6.QtWidgets import QGraphicsItem

from optlab.gui.plots.colors import PlotColors, mixed, scaled_font
from optlab.gui.plots.ticks import (
    Levels,
    linear_ticks,
    log_labels,
    log_ticks,
    step_labels,
    value_labels,
)

_TYPICAL_LABEL = "−0.005"
"""A tick label that fits from the start."""
_ROOM = 6.0
"""Pixels of an axis that its name leaves free: pyqtgraph adds a space to it."""
_LEAST_SHARE, _READABLE = 0.7, 16
"""Share of the letters of a name that must be left of it, and how many are enough of a long one."""
_GROWTH_STEP = 10.0
"""Minimum growth of the thickness, in pixels."""


def shortened(name: str, metrics: QFontMetricsF, room: float) -> str:
    """Return as much of the name of an axis as has room and still says what it is.

    What stands in brackets at the end goes first: ``PC 1`` for ``PC 1 (88% of the path)``. Of the
    rest most must be left: ``Wei…`` says nothing.
    """
    if metrics.horizontalAdvance(name) <= room:
        return name
    short = re.sub(r" \([^()]*\)$", "", name)
    if metrics.horizontalAdvance(short) <= room:
        return short
    elided = metrics.elidedText(short, Qt.TextElideMode.ElideRight, room)
    return elided if len(elided) >= min(_LEAST_SHARE * len(short), _READABLE) else ""


class PlotAxis(pg.AxisItem):
    """An axis of steps (``bottom``) or values (``left``).

    Args:
        side: ``"left"`` or ``"bottom"``. steps: whether tick labels use SI prefixes.
    """

    # Read before the constructor has finished and after the label is deleted, so they depend on
    # neither.
    _overhang = 0.0
    _label = _shown = ""

    def __init__(self, side: str, *, steps: bool = False) -> None:
        super().__init__(side, maxTickLength=-4)
        self._steps = steps
        self.exponent = 0
        """Drawn coordinates are values times ``10**-exponent``."""
        self.enableAutoSIPrefix(False)
        self.setStyle(maxTextLevel=0, tickTextOffset=4, autoExpandTextSpace=False)
        self.setGrid(255)
        self.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)
        self._thickness = 0.0
        self._scale = 1.0

    def set_label(self, text: str) -> None:
        """Name the axis, with its unit."""
        self._label = text
        self._show_label()
        self.fit()

    def _show_label(self) -> None:
        """Show as much of the name as the axis has room for; all of it is in the tip."""
        length = self.size().height() if self.orientation == "left" else self.size().width()
        metrics = QFontMetricsF(self.label.font())
        shown = self._label
        if length > 0.0:
            shown = shortened(shown, metrics, length - _ROOM)
        tip = "" if shown == self._label else escape(self._label)
        self.label.setToolTip(tip)
        # Where nothing is shown there is no label to point at.
        self.setToolTip("" if shown else tip)
        if shown != self._shown:
            self._shown = shown
            # pyqtgraph draws HTML.
            self.setLabel(escape(shown))
            super().resizeEvent()  # which puts it in the middle

    def resizeEvent(self, event: Any = None) -> None:
        super().resizeEvent(event)
        if self._label and self.label is not None:
            self._show_label()

    def fit(self) -> None:
        """Set the thickness that the font needs."""
        metrics = QFontMetricsF(self.label.font())
        label = metrics.height() + 2 if self._label else 0
        if self.orientation == "left":
            self._thickness = metrics.horizontalAdvance(_TYPICAL_LABEL) + 12.0
            self._overhang = metrics.height() / 2
            self.setWidth(self._thickness + label)
        else:
            self._overhang = metrics.horizontalAdvance("000.00k") / 2
            self.setHeight(metrics.height() + 6 + label)

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        self.setPen(mixed(colors.grid, colors.foreground, 0.35))
        self.setTickPen(colors.grid)
        self.setTextPen(mixed(colors.foreground, colors.background, 0.2))
        if colors.scale != self._scale:
            self._scale = colors.scale
            self.label.setFont(scaled_font(colors))
            self.setTickFont(scaled_font(colors))
            self._show_label()
            self.fit()

    @property
    def log(self) -> bool:
        """Whether the axis is logarithmic."""
        return bool(self.logMode)

    def tickValues(self, minVal: float, maxVal: float, size: float) -> Levels:
        low, high = min(minVal, maxVal), max(minVal, maxVal)
        metrics = QFontMetricsF(self.label.font())
        min_gap = (
            metrics.height() * 2.2
            if self.orientation == "left"
            else metrics.horizontalAdvance("000.00k") * 1.6
        )
        return (log_ticks if self.log else linear_ticks)(low, high, size, min_gap)

    def tickStrings(self, values: list[float], scale: float, spacing: float | None) -> list[str]:
        labels = self._labels(values, spacing)
        if self.orientation == "left" and labels:
            metrics = QFontMetricsF(self.label.font())
            needed = max(metrics.horizontalAdvance(text) for text in labels) + 12.0
            if needed > self._thickness:
                self._thickness = needed + _GROWTH_STEP
                # Not while the axis is being painted.
                QTimer.singleShot(0, self, self._widen)
        return labels

    def boundingRect(self) -> QRectF:
        # Make room for the label of a tick at the very end, which pyqtgraph omits with a grid.
        room = self._overhang
        drawn = cast(QRectF, super().boundingRect())
        return drawn.adjusted(
            *((0.0, -room, 0.0, room) if self.orientation == "left" else (-room, 0.0, room, 0.0))
        )

    def _widen(self) -> None:
        metrics = QFontMetricsF(self.label.font())
        self.setWidth(self._thickness + (metrics.height() + 2 if self._label else 0))

    def _labels(self, values: list[float], spacing: float | None) -> list[str]:
        if not values:
            return []
        if self.log:
            return log_labels(values, steps=self._steps)
        if self._steps:
            return step_labels(values, spacing or 1.0)
        return value_labels(values, spacing or 1.0, self.exponent)

    def wheelEvent(self, event: Any) -> None:
        super().wheelEvent(event)
        # Otherwise the view behind would zoom a second time.
        event.accept()
