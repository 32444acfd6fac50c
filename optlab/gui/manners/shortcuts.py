"""The overview of shortcuts, made from the actions of the window."""

from __future__ import annotations

from html import escape

from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QMenuBar,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from optlab.gui.geometry import resize_to_screen
from optlab.gui.manners.palette import actions_of, keys_of

OF_THE_KEYBOARD = (
    ("Tab, Shift+Tab", "next and previous field"),
    ("Space", "press the button or open the section that has the focus"),
    ("Arrow keys", "move a slider or the handle of the timeline"),
    ("F", "in a plot: follow the run again"),
    ("Escape", "close a dialog"),
)
"""Keys that are no shortcuts of an action."""


def shortcuts(menu_bar: QMenuBar) -> list[tuple[str, str]]:
    """Return the keys and the way to each action that has a shortcut, in the order of the menus."""
    return [(keys, way) for way, action in actions_of(menu_bar) if (keys := keys_of(action))]


class ShortcutsDialog(QDialog):
    """Lists the shortcuts of a menu bar."""

    def __init__(self, menus: QMenuBar, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        resize_to_screen(self, 560, 640)
        self.text = QTextBrowser()
        self.text.setAccessibleName("Keyboard shortcuts")
        rows = "".join(
            f"<tr><td><b>{escape(keys)}</b></td><td>{escape(what)}</td></tr>"
            for keys, what in (*shortcuts(menus), *OF_THE_KEYBOARD)
        )
        self.text.setHtml(f"<table cellpadding='4'>{rows}</table>")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
