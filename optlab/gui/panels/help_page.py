"""The page of a component in a dialog."""

from __future__ import annotations

from PySide6.QtWidgets import QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from optlab.gui.geometry import resize_to_screen
from optlab.gui.panels.page_view import PageView


class HelpPage(QDialog):
    """Shows the page of a component, at one of its fields if there is one named."""

    def __init__(
        self, kind: str, name: str, parent: QWidget | None = None, *, field: str = ""
    ) -> None:
        super().__init__(parent)
        self.text = PageView()
        self.text.show_component(kind, name, field)
        assert self.text.page is not None
        self.setWindowTitle(f"{self.text.page.label} – {kind}")
        resize_to_screen(self, 780, 720)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
