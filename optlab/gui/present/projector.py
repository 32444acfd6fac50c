"""What a projector wants: high contrast, large text and lines, and a cursor that is seen from afar."""

from __future__ import annotations

import dataclasses

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QCursor, QPainter, QPen, QPixmap, QPolygonF

from optlab.core.palette import PlotColors, mixed
from optlab.gui import theme
from optlab.gui.theme import Theme

SCALE = 2.0
"""Size of text and lines in relation to a window."""
CONTRAST = 4.5
"""Least contrast of a curve to its background, as of text (WCAG 2): projectors wash colors out."""
_CURSOR = 64
"""Side of the cursor, in pixels."""


def contrast(color: str, other: str) -> float:
    """Return the contrast of two colors by WCAG 2, from 1 to 21."""
    bright, dark = sorted((_luminance(color), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    parts = (int(color[index : index + 2], 16) / 255.0 for index in (1, 3, 5))
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def projector_theme(*, dark: bool) -> Theme:
    """Return the theme of a window in contrasts for a projector."""
    usual = theme.DARK if dark else theme.LIGHT
    background, foreground = ("#000000", "#ffffff") if dark else ("#ffffff", "#000000")
    return dataclasses.replace(
        usual,
        window=background,
        base=background,
        text=foreground,
        muted=mixed(foreground, background, 0.25),
        border=mixed(background, foreground, 0.4),
        edge=mixed(background, foreground, 0.6),
        plots=PlotColors(
            background=background,
            foreground=foreground,
            grid=mixed(background, foreground, 0.22),
            palette=tuple(_strong(color, background, foreground) for color in usual.plots.palette),
            scale=SCALE,
        ),
    )


def _strong(color: str, background: str, foreground: str) -> str:
    """Return a color mixed with that of text until it has enough contrast to the background."""
    share = 0.0
    while contrast(strong := mixed(color, foreground, share), background) < CONTRAST:
        share += 0.02
    return strong


def big_cursor(colors: Theme) -> QCursor:
    """Return an arrow that is seen from the last row, in a color of its own with a rim."""
    picture = QPixmap(_CURSOR, _CURSOR)
    picture.fill(Qt.GlobalColor.transparent)
    arrow = [(3, 3), (3, 49), (15, 38), (24, 58), (33, 54), (24, 35), (41, 35)]
    with QPainter(picture) as painter:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(colors.plots.foreground), 3.0))
        painter.setBrush(QColor(colors.plots.curve(1)))
        painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in arrow]))
    return QCursor(picture, 3, 3)
