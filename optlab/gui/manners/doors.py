"""The three doors: what to do at the first start."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize
from PySide6.QtGui import QIcon, QShowEvent
from PySide6.QtWidgets import QCommandLinkButton, QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from optlab.gui.plain_text import wrapped_label


class Doors(QDialog):
    """Offers a guided run, the import of data, and a comparison.

    Args:
        show_me: begins the guided run. my_data: opens the import of data. compare: opens the dialog
            of a second contender, None where there is none at present.
        parent: the window.
    """

    def __init__(
        self,
        show_me: Callable[[], object],
        my_data: Callable[[], object],
        compare: Callable[[], object] | None,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Welcome to OptLab")
        self.setMinimumWidth(480)
        head = wrapped_label("")
        head.setText("A laboratory for watching deep-learning optimization at work.")
        self.show_me = _door(
            "&Show me",
            "Two minutes: a real run, and a few sentences about what happens. Leave it at any time.",
        )
        self.my_data = _door("My &data", "Import a table, arrays or images, and train on them.")
        self.compare = _door(
            "&Compare", "Train two optimizers from the same start on the same batches."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 16, 16, 12)
        layout.setSpacing(8)
        layout.addWidget(head)
        for button, act in (
            (self.show_me, show_me),
            (self.my_data, my_data),
            (self.compare, compare),
        ):
            layout.addWidget(button)
            button.setEnabled(act is not None)
            if act is not None:
                button.clicked.connect(lambda _checked=False, act=act: self._enter(act))
        # Room that is left stands here, not around the sentence.
        layout.addStretch(1)
        buttons = QDialogButtonBox()
        close = buttons.addButton("Explore on my own", QDialogButtonBox.ButtonRole.RejectRole)
        close.setToolTip("These doors are in the Help menu, too")
        buttons.rejected.connect(self.reject)
        layout.addWidget(buttons)

    def showEvent(self, event: QShowEvent) -> None:  # Qt's name
        """Be as high as the sentences need: Qt gives a dialog two thirds of the screen at most."""
        super().showEvent(event)
        layout = self.layout()
        if layout is not None:
            area = self.screen().availableGeometry().height()
            high = min(layout.totalHeightForWidth(self.width()), area)
            self.resize(self.width(), max(self.height(), high))

    def _enter(self, act: Callable[[], object]) -> None:
        self.accept()
        act()


def _door(title: str, sentence: str) -> QCommandLinkButton:
    button = QCommandLinkButton(title, sentence)
    # The arrow of the style is black in every theme.
    button.setIcon(QIcon())
    button.setIconSize(QSize(0, 0))
    button.setAccessibleName(title.replace("&", ""))
    button.setAccessibleDescription(sentence)
    return button
