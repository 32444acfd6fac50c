"""Texts that Qt shows as they are, although they may look like HTML.

Labels, tooltips and message boxes of Qt guess from a text whether it is HTML. Titles of runs, names of
columns, classes and files, and messages of exceptions come from elsewhere: one that contains a tag must
neither be drawn as if the tag were meant nor load the picture that it names.
"""

from __future__ import annotations

from html import escape

from PySide6.QtGui import Qt
from PySide6.QtWidgets import QLabel, QWidget


class PlainLabel(QLabel):
    """A label whose text is never HTML."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)


def wrapped_label(role: str) -> PlainLabel:
    """Return an empty label that wraps its text and looks as its role does in the theme."""
    label = PlainLabel("")
    label.setProperty("role", role)
    label.setWordWrap(True)
    return label


def plain(text: str) -> str:
    """Return a text for tooltips and message boxes that Qt shows as ``text``."""
    if not Qt.mightBeRichText(text):
        return text
    return f"<qt>{escape(text).replace(chr(10), '<br>')}</qt>"
