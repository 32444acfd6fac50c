"""Colors of the plots, the same as in all drawings; see :mod:`optlab.core.palette`."""

from __future__ import annotations

from PySide6.QtGui import QFont
from PySide6.QtWidgets import QApplication

from optlab.core.palette import DARK, LIGHT, PlotColors, mixed

__all__ = ["DARK", "LIGHT", "PlotColors", "mixed", "scaled_font"]


def scaled_font(colors: PlotColors) -> QFont:
    """Return the font of the application at the scale of a plot."""
    font = QFont(QApplication.font())
    if font.pixelSize() > 0:
        font.setPixelSize(round(font.pixelSize() * colors.scale))
    else:
        font.setPointSizeF(font.pointSizeF() * colors.scale)
    return font
