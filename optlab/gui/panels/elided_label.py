"""A label on one line that ends in "…" where its text does not fit."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from optlab.gui.plain_text import PlainLabel, plain


class ElidedLabel(PlainLabel):
    """A label that never widens its window; the full text is its tool tip where it does not fit.

    Args:
        text: the full text, which :meth:`text` returns.
    """

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        self._text = self._hint = ""
        super().__init__("", parent)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setText(text)

    def text(self) -> str:
        """Return the full text."""
        return self._text

    def shown_text(self) -> str:
        """Return the text as it is drawn, with "…" at its end where it does not fit."""
        return super().text()

    def setText(self, text: str) -> None:
        """Set the full text."""
        self._text = text
        self._elide()

    def set_hint(self, hint: str) -> None:
        """Set what the tool tip says about the text, "" for nothing."""
        if hint == self._hint:
            return
        self._hint = hint
        self.setAccessibleDescription(hint)
        self._elide()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._elide()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._elide()

    def _elide(self) -> None:
        width = self.contentsRect().width()
        shown = self.fontMetrics().elidedText(self._text, Qt.TextElideMode.ElideRight, width)
        super().setText(shown)
        cut = self._text if shown != self._text else ""
        self.setToolTip(plain("\n".join(filter(None, (cut, self._hint)))))
