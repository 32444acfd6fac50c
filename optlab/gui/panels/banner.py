"""The banner: one sentence above the plots that stays until it is answered, with the buttons that
answer it.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget


class Banner(QFrame):
    """Hidden while there is nothing to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self.words = QLabel("")
        self.words.setWordWrap(True)
        self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.buttons: list[QPushButton] = []
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(12, 8, 12, 8)
        self._layout.addWidget(self.words, 1)
        self.hide()

    def show_sentence(
        self,
        sentence: str,
        run: dict[str, Callable[[], None]] | None = None,
        *,
        problem: bool = False,
    ) -> None:
        """Show a sentence; each answer is a button that calls its function and closes the banner.
        ``Dismiss`` is always there.
        """
        for button in self.buttons:
            self._layout.removeWidget(button)
            button.deleteLater()
        self.buttons = []
        self.words.setText(sentence)
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
