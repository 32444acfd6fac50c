"""The area of a band between two curves."""

from __future__ import annotations

import numpy as np
from pyqtgraph import functions
from PySide6.QtCore import Qt
from PySide6.QtGui import QBrush, QColor, QPainterPath, QPolygonF
from PySide6.QtWidgets import QGraphicsPathItem

from optlab.gui.plots.curve_rows import Floats

_ALPHA = 46
"""Opacity of a band, of 255: bands that overlap stay apart."""


class BandItem(QGraphicsPathItem):
    """Fills the area between a lower and an upper curve."""

    def __init__(self) -> None:
        super().__init__()
        self.setPen(QColor(0, 0, 0, 0))
        self.setZValue(-1)

    def draw(self, low: tuple[Floats, Floats], high: tuple[Floats, Floats], color: str) -> None:
        """Fill between points ``(x, y)``, ``[n]`` each, given in view coordinates."""
        parts = []
        for (x, y), order in ((low, 1), (high, -1)):
            finite = np.isfinite(y)
            parts.append((x[finite][::order], y[finite][::order]))
        path = QPainterPath()
        if all(len(x) for x, _ in parts):
            x, y = (np.concatenate(columns) for columns in zip(*parts, strict=True))
            polygon: QPolygonF = functions.arrayToQPolygonF(x, y)
            path.addPolygon(polygon)
            path.closeSubpath()
        fill = QColor(color)
        fill.setAlpha(_ALPHA)
        self.setBrush(QBrush(fill, Qt.BrushStyle.SolidPattern))
        self.setPath(path)
