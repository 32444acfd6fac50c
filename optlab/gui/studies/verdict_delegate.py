"""Draws the rows of the list of studies and claims, verdicts in the color of what they say."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSize
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from optlab.gui import theme

_ROOM = 6
"""Added to the height of a row, in logical pixels."""


class VerdictDelegate(QStyledItemDelegate):
    """Asks the theme when it draws, so that a list that is shown follows a change of the theme."""

    def initStyleOption(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        super().initStyleOption(option, index)
        if index.column() == 1:
            color = QColor(verdict_color(index.data() or "", theme.current()))
            option.palette.setColor(QPalette.ColorRole.Text, color)
            option.font.setBold(True)

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        size = super().sizeHint(option, index)
        return QSize(size.width(), size.height() + _ROOM)


def verdict_color(verdict: str, colors: theme.Theme) -> str:
    """Return the color of a verdict, or of the status that stands in its place, as ``#rrggbb``."""
    return {"supported": colors.good, "contradicted": colors.error}.get(verdict, colors.muted)
