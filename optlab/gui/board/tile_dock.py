"""A tile of the board: a heading by which it is moved, and its content.

The heading is the dock's title bar. Its buttons open the menu of the tile, enlarge it and close it;
a double click lets it float, and puts it back.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QDockWidget,
    QFrame,
    QHBoxLayout,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from optlab.gui.panels.elided_label import ElidedLabel
from optlab.gui.plain_text import plain
from optlab.gui.runs.run_drag import runs_of

MIN_TILE_HEIGHT = 150
"""Pixels below which the content of a tile is not readable; the board then scrolls."""


class TileDock(QDockWidget):
    """A tile.

    Args:
        key: its name in layouts. title: its heading. content: what it shows.

    Attributes:
        plot: the content.
        title, menu_button, enlarge_button, close_button: parts of the heading.

    Signals: ``enlargeRequested()``, ``closeRequested()``, ``menuRequested()``; ``runsDropped(object)``:
    ids of runs.
    """

    runsDropped = Signal(object)

    enlargeRequested = Signal()
    closeRequested = Signal()
    menuRequested = Signal()

    def __init__(self, key: str, title: str, content: QWidget) -> None:
        super().__init__(plain(title))
        self.setObjectName(key)
        self.key, self.plot = key, content
        self.title = ElidedLabel()
        self.title.setObjectName("tileTitle")
        self.menu_button = _button("⋯", f"Menu of {title}", "Copy, save and export this tile")
        self.enlarge_button = _button(
            "⤢", f"Enlarge {title}", "Enlarge this tile, or show all tiles again"
        )
        self.close_button = _button("✕", f"Close {title}", "Close this tile")
        self.menu_button.clicked.connect(self.menuRequested)
        self.enlarge_button.clicked.connect(self.enlargeRequested)
        self.close_button.clicked.connect(self.closeRequested)
        head = QFrame()
        head.setObjectName("tileHead")
        head.setToolTip("Drag to move this tile, double-click to let it float")
        row = QHBoxLayout(head)
        row.setContentsMargins(10, 3, 4, 0)
        row.setSpacing(0)
        row.addWidget(self.title, 1)
        for button in (self.menu_button, self.enlarge_button, self.close_button):
            row.addWidget(button)
        self.setTitleBarWidget(head)
        self._body = QFrame()
        self._body.setObjectName("tileBody")
        self._body.setMinimumHeight(MIN_TILE_HEIGHT)
        self._column = QVBoxLayout(self._body)
        self._column.setContentsMargins(1, 0, 1, 1)
        self._column.addWidget(content)
        self.setWidget(self._body)
        self.set_title(title)
        self.setAcceptDrops(True)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # Qt's name
        """Accept runs."""
        if runs_of(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # Qt's name
        """Say which runs were dropped."""
        event.acceptProposedAction()
        self.runsDropped.emit(runs_of(event.mimeData()))

    def set_title(self, title: str) -> None:
        """Set the heading."""
        self.setWindowTitle(plain(title))
        self.title.setText(title)
        self.setAccessibleName(plain(title))

    def release(self) -> QWidget:
        """Return the content, which leaves the tile."""
        self._column.removeWidget(self.plot)
        self.plot.setParent(None)
        return self.plot

    def event(self, event: QEvent) -> bool:  # Qt's name
        """Ask to be closed where a floating tile is closed by the window manager."""
        if event.type() == QEvent.Type.Close:
            event.ignore()
            self.closeRequested.emit()
            return True
        return super().event(event)


def _button(text: str, name: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(plain(name))
    button.setAutoRaise(True)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    return button
