"""Vertical lines in a plot over steps that mark where something was changed."""

from __future__ import annotations

import math
from collections.abc import Callable

import pyqtgraph as pg
from PySide6.QtCore import Qt

from optlab.gui.plots.colors import PlotColors, mixed, scaled_font


class StepMarks:
    """Labeled vertical lines at steps, and one at the step that is looked at.

    Args:
        view: the view box that they are drawn in. colors: colors of the theme.
        to_axis: converts a step into the unit of the axis.

    Attributes:
        cursor: the step that is looked at, None where none is.
    """

    def __init__(
        self,
        view: pg.ViewBox,
        colors: PlotColors,
        to_axis: Callable[[float], float] = lambda step: step,
    ) -> None:
        self._to_axis = to_axis
        self._view = view
        self._colors = colors
        self._lines: list[tuple[float, pg.InfiniteLine]] = []
        self.cursor: float | None = None
        self._cursor_line: pg.InfiniteLine | None = None

    @property
    def steps(self) -> tuple[float, ...]:
        """Steps that are marked."""
        return tuple(step for step, _ in self._lines)

    def add(self, step: float, text: str, *, log: bool) -> None:
        """Mark a step with a short label; ``log``: whether the step axis is logarithmic."""
        line = pg.InfiniteLine(
            pos=self._position(step, log),
            angle=90,
            movable=False,
            label=text,
            labelOpts={"position": 0.96, "rotateAxis": (1, 0), "anchors": [(1, 1), (1, 1)]},
        )
        self._lines.append((step, line))
        self._view.addItem(line, ignoreBounds=True)
        self.set_colors(self._colors)

    def set_cursor(self, step: float | None, *, log: bool) -> None:
        """Look at a step; None for none. ``log``: whether the step axis is logarithmic."""
        self.cursor = step
        if step is None:
            if self._cursor_line is not None:
                self._cursor_line.setVisible(False)
            return
        if self._cursor_line is None:
            self._cursor_line = pg.InfiniteLine(angle=90, movable=False)
            self._view.addItem(self._cursor_line, ignoreBounds=True)
            self.set_colors(self._colors)
        self._cursor_line.setPos(self._position(step, log))
        self._cursor_line.setVisible(True)

    def clear(self) -> None:
        """Remove all marks; the step that is looked at stays."""
        for _, line in self._lines:
            self._view.removeItem(line)
        self._lines = []

    def set_log(self, log: bool) -> None:
        """Move the marks when the axis becomes logarithmic or linear, or gets another unit."""
        for step, line in self._lines:
            line.setPos(self._position(step, log))
        if self.cursor is not None:
            self.set_cursor(self.cursor, log=log)

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        self._colors = colors
        color = mixed(colors.foreground, colors.background, 0.45)
        for _, line in self._lines:
            line.setPen(pg.mkPen(color, width=colors.line, style=Qt.PenStyle.DashLine))
            line.label.setColor(color)
            line.label.setFont(scaled_font(colors))
        if self._cursor_line is not None:
            self._cursor_line.setPen(pg.mkPen(colors.foreground, width=colors.line))

    def _position(self, step: float, log: bool) -> float:
        at = self._to_axis(max(step, 1.0) if log else step)
        return math.log10(max(at, 1e-9)) if log else at
