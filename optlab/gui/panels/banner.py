"""The banner: a message above the plots that stays until it is answered or dismissed."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QSizePolicy, QWidget

from optlab.core.printable import printable
from optlab.gui.plain_text import PlainLabel


class Banner(QFrame):
    """Hidden while there is no message."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self.message = PlainLabel("")
        self.message.setWordWrap(True)
        self.message.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.buttons: list[QPushButton] = []
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(12, 8, 12, 8)
        self._layout.addWidget(self.message, 1)
        self.hide()

    def show_sentence(
        self,
        sentence: str,
        run: dict[str, Callable[[], None]] | None = None,
        *,
        problem: bool = False,
    ) -> None:
        """Show a message.

        Args:
            sentence: the message.
            run: text of each button → function that it calls after closing the banner. The button
                ``Dismiss`` is always there.
            problem: whether to show it as an error.
        """
        for button in self.buttons:
            self._layout.removeWidget(button)
            button.deleteLater()
        self.buttons = []
        self.message.setText(printable(sentence, lines=True))
        self.setProperty("problem", problem)
        self.style().unpolish(self)
        self.style().polish(self)
        for text, act in {**(run or {}), "Dismiss": lambda: None}.items():
            button = QPushButton(text)
            button.clicked.connect(lambda _checked=False, act=act: self._answer(act))
            self._layout.addWidget(button)
            self.buttons.append(button)
        self.show()

    def _answer(self, act: Callable[[], None]) -> None:
        self.hide()
        act()
