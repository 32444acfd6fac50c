"""An axis with our ticks and of fixed breadth, so that neither a longer label nor a new range moves the plot."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from PySide6.QtGui import QFontMetricsF

from optlab.gui.plots.colors import PlotColors, mixed
from optlab.gui.plots.ticks import Levels, linear_ticks, log_texts, log_ticks, step_texts, value_texts

_WIDEST = "−2.55·10⁻¹⁰"


class PlotAxis(pg.AxisItem):
    """An axis of steps (``bottom``) or values (``left``).

    Args:
        side: ``"left"`` or ``"bottom"``. steps: whether texts use SI prefixes.
    """

    def __init__(self, side: str, *, steps: bool = False) -> None:
        super().__init__(side, maxTickLength=-4)
        self._steps = steps
        self._label = ""
        self.exponent = 0
        """What is drawn is the value times ``10**-exponent``."""
        self.enableAutoSIPrefix(False)
        self.setStyle(maxTextLevel=0, tickTextOffset=4, autoExpandTextSpace=False)
        self.setGrid(255)

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
            self.setWidth(metrics.horizontalAdvance(_WIDEST) + 12 + label)
        else:
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
        apart = metrics.height() * 2.2 if self.orientation == "left" else metrics.horizontalAdvance("000.00k") * 1.6
        return (log_ticks if self.log else linear_ticks)(low, high, size, apart)

    def tickStrings(self, values: list[float], scale: float, spacing: float | None) -> list[str]:
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
