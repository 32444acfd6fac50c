"""Vertical lines in a plot over steps that mark where something was changed."""

from __future__ import annotations

import math

import pyqtgraph as pg
from PySide6.QtCore import Qt

from optlab.gui.plots.colors import PlotColors, mixed


class StepMarks:
    """Labeled vertical lines at steps.

    Args:
        view: the view box that they are drawn in. colors: colors of the theme.
    """

    def __init__(self, view: pg.ViewBox, colors: PlotColors) -> None:
        self._view = view
        self._colors = colors
        self._lines: list[tuple[float, pg.InfiniteLine]] = []

    @property
    def steps(self) -> tuple[float, ...]:
        """Steps that are marked."""
        return tuple(step for step, _ in self._lines)

    def add(self, step: float, text: str, *, log: bool) -> None:
        """Mark a step with a short label; ``log``: whether the step axis is logarithmic."""
        line = pg.InfiniteLine(
            pos=_position(step, log),
            angle=90,
            movable=False,
            label=text,
            labelOpts={"position": 0.96, "rotateAxis": (1, 0), "anchors": [(1, 1), (1, 1)]},
        )
        self._lines.append((step, line))
        self._view.addItem(line, ignoreBounds=True)
        self.set_colors(self._colors)

    def clear(self) -> None:
        """Remove all marks."""
        for _, line in self._lines:
            self._view.removeItem(line)
        self._lines = []

    def set_log(self, log: bool) -> None:
        """Move the marks when the step axis becomes logarithmic or linear."""
        for step, line in self._lines:
            line.setPos(_position(step, log))

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        self._colors = colors
        color = mixed(colors.foreground, colors.background, 0.45)
        for _, line in self._lines:
            line.setPen(pg.mkPen(color, style=Qt.PenStyle.DashLine))
            line.label.setColor(color)


def _position(step: float, log: bool) -> float:
    return math.log10(max(step, 1.0)) if log else step
