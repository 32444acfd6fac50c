"""Icons of the timeline in the colors of the palette: those of Qt's styles are always dark."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QIcon, QPainter, QPalette, QPixmap, QPolygonF

Shape = Literal["play", "pause", "back", "forward"]
_SIZE = 16
_SCALES = (1.0, 2.0)
"""Device pixel ratios that icons are drawn for."""


def media_icon(shape: Shape, palette: QPalette) -> QIcon:
    """Return an icon for enabled and disabled buttons in a palette."""
    icon = QIcon()
    for mode, group in (
        (QIcon.Mode.Normal, QPalette.ColorGroup.Active),
        (QIcon.Mode.Disabled, QPalette.ColorGroup.Disabled),
    ):
        for scale in _SCALES:
            pixmap = QPixmap(round(_SIZE * scale), round(_SIZE * scale))
            pixmap.setDevicePixelRatio(scale)
            pixmap.fill(Qt.GlobalColor.transparent)
            painter = QPainter(pixmap)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(palette.color(group, QPalette.ColorRole.ButtonText))
            _draw(painter, shape)
            painter.end()
            icon.addPixmap(pixmap, mode)
    return icon


def _draw(painter: QPainter, shape: Shape) -> None:
    if shape == "pause":
        painter.drawRect(QRectF(4.0, 3.0, 3.0, 10.0))
        painter.drawRect(QRectF(9.0, 3.0, 3.0, 10.0))
        return
    if shape == "back":
        painter.translate(_SIZE, 0.0)
        painter.scale(-1.0, 1.0)
    if shape == "play":
        points = ((4.0, 3.0), (13.0, 8.0), (4.0, 13.0))
    else:
        points = ((3.0, 3.0), (10.0, 8.0), (3.0, 13.0))
        painter.drawRect(QRectF(11.0, 3.0, 2.0, 10.0))
    painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in points]))
