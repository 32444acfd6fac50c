"""A tile: a plot with a heading and a frame."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QToolButton, QVBoxLayout, QWidget

from optlab.gui.plain_text import PlainLabel

_MIN_HEIGHT = 140
"""Pixels below which a plot shows nothing; what is around the tile then scrolls."""


class Tile(QFrame):
    """A plot with its title.

    Args:
        title: heading.
        plot: the plot.
        enlarge: called by a button to give the tile the entire panel; None for no button.
    """

    def __init__(
        self, title: str, plot: QWidget, enlarge: Callable[[Tile], None] | None = None
    ) -> None:
        super().__init__()
        self.setObjectName("tile")
        self.setMinimumHeight(_MIN_HEIGHT)
        self.plot = plot
        self.title = PlainLabel(title)
        self.title.setObjectName("tileTitle")
        self.enlarge_button = QToolButton()
        self.enlarge_button.setText("⤢")
        self.enlarge_button.setAutoRaise(True)
        self.enlarge_button.setToolTip("Enlarge this plot, or show all plots again")
        self.enlarge_button.setAccessibleName(f"Enlarge {title}")
        if enlarge is None:
            self.enlarge_button.hide()
        else:
            self.enlarge_button.clicked.connect(lambda: enlarge(self))
        head = QHBoxLayout()
        head.setContentsMargins(10, 4, 4, 0)
        head.addWidget(self.title)
        head.addStretch(1)
        self.menu_button = QToolButton()
        self.menu_button.setText("⋯")
        self.menu_button.setAutoRaise(True)
        self.menu_button.setToolTip("Copy, save and export this tile")
        self.menu_button.setAccessibleName(f"Menu of {title}")
        self.menu_button.clicked.connect(self._show_menu)
        head.addWidget(self.menu_button)
        head.addWidget(self.enlarge_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(1, 1, 1, 1)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.addWidget(plot, 1)

    def _show_menu(self) -> None:
        # Imported here: most tiles are never copied.
        from optlab.gui.figures.tile_menu import fill_tile_menu

        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        fill_tile_menu(menu, self.plot, self.title.text(), self.window())
        menu.popup(self.menu_button.mapToGlobal(QPoint(0, self.menu_button.height())))
