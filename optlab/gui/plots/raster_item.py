"""A picture in a plot: one color a cell, and in a figure as many pixels as its resolution asks for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, QSize, QSizeF
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

MAX_PIXELS = 40_000_000
"""Pixels of a picture in a figure at most; a larger one has a lower resolution."""


class RasterItem(pg.ImageItem):
    """Draws an image ``[ny, nx, 3]`` of bytes.

    On the screen its cells have sharp edges. In a figure the picture is scaled to the resolution of
    the figure, because programs that show PDF and SVG files scale small pictures each in its own way.

    Attributes:
        smooth: whether the cells are samples of something continuous, so that colors between them
            are interpolated in a figure; else its cells have sharp edges, too.
    """

    def __init__(self, image: np.ndarray | None = None, *, smooth: bool) -> None:
        super().__init__(image, axisOrder="row-major", levels=None)
        self.smooth = smooth
        self._scale = 0.0

    def setExportMode(self, export: bool, options: dict[str, Any] | None = None) -> None:
        """Draw for a figure from now on, or for the screen.

        Args:
            export: whether it is a figure.
            options: ``raster``: pixels of the picture a unit of what is painted on.
        """
        self._scale = (options or {}).get("raster", 1.0) if export else 0.0

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionGraphicsItem,
        widget: QWidget | None = None,
    ) -> None:
        """Draw the picture."""
        seen = None if self._scale == 0.0 or self.image is None else self._seen()
        if seen is None:
            super().paint(painter, option, widget)
            return
        painter.save()
        # Else a PDF file has it as JPEG, whose blocks are seen at sharp edges.
        painter.setRenderHint(QPainter.RenderHint.LosslessImageRendering)
        asked = painter.combinedTransform().mapRect(seen).size() * self._scale
        painter.drawImage(seen, self._scaled(seen, asked))
        painter.restore()

    def _scaled(self, seen: QRectF, asked: QSizeF) -> QImage:
        """Return a part of the picture with about the pixels that are asked for."""
        rows, columns = self.image.shape[:2]
        data = np.ascontiguousarray(self.image).tobytes()
        cells = QImage(data, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
        shrink = math.sqrt(min(1.0, MAX_PIXELS / max(1.0, asked.width() * asked.height())))
        size = QSize(
            max(1, math.ceil(seen.width()), round(asked.width() * shrink)),
            max(1, math.ceil(seen.height()), round(asked.height() * shrink)),
        )
        picture = QImage(size, QImage.Format.Format_RGB32)
        inner = QPainter(picture)
        inner.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self.smooth)
        inner.drawImage(QRectF(QPointF(), QSizeF(size)), cells, seen)
        inner.end()
        return picture

    def _seen(self) -> QRectF | None:
        """Return the part of the picture that can be seen, in cells; None for nothing."""
        rows, columns = self.image.shape[:2]
        whole, view = QRectF(0, 0, columns, rows), self.viewRect()
        found = whole if view is None else whole.intersected(view)
        return None if found.isEmpty() else found
