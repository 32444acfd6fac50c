"""The places: tabs of the one window, each built when it is first opened.

The first is the workbench; the others are windows of their own kind (surfaces, watched runs, …).
Each can be torn off into a window of its own, which shows the same menus, docked back, closed and
opened again. This module names no place's class: who knows them fills the tabs.
"""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QAction, QCloseEvent
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QMenuBar,
    QPushButton,
    QTabBar,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from optlab.gui.geometry import resize_to_screen
from optlab.gui.plain_text import PlainLabel

WORKBENCH = "workbench"
TITLES: Mapping[str, str] = {
    WORKBENCH: "Workbench",
    "surfaces": "Surfaces",
    "landscape": "Landscape",
    "demonstrations": "Demonstrations",
    "studies": "Studies",
    "compare": "Compare",
    "watched": "Watched",
}
"""Text of the tab of each place, in their order."""


class PlaceWindow(QMainWindow):
    """A place that was torn off, with the menus of the main window.

    Args:
        place: what it shows; closing the window closes it.
        title: its name.
        menus: whose menus are shown here, too. Their shortcuts act in this window then.

    Signals: ``dockRequested()``.
    """

    dockRequested = Signal()

    def __init__(self, place: QWidget, title: str, menus: QMenuBar) -> None:
        super().__init__()
        self.setWindowTitle(f"{title} – OptLab")
        resize_to_screen(self, 1360, 860)
        for action in menus.actions():
            self.menuBar().addAction(action)
        self.dock_button = QToolButton()
        self.dock_button.setText("Dock")
        self.dock_button.setToolTip(f"Put {title} back into its tab")
        self.dock_button.setAutoRaise(True)
        self.dock_button.clicked.connect(self.dockRequested)
        self.menuBar().setCornerWidget(self.dock_button)
        self._place: QWidget | None = place
        self.setCentralWidget(place)
        place.show()

    def release(self) -> QWidget:
        """Return the place, which leaves the window, and close the window."""
        place, self._place = self.takeCentralWidget(), None
        assert place is not None
        self.close()
        return place

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        """Close the place, too, unless it was taken or has something to finish first."""
        place, self._place = self._place, None
        if place is not None and not place.close():
            self._place = place
            event.ignore()
            return
        self.deleteLater()
        event.accept()


class Places(QTabWidget):
    """The tabs of the places.

    A place is any widget with a signal ``closed()``, which it emits when it was closed.

    Args:
        menus: shown in windows that are torn off, too.

    Signals: ``wanted(str)``: name of a place that the user opened and that is not built yet;
    ``opened(str)``: name of the place that is shown now.
    """

    wanted = Signal(str)
    opened = Signal(str)

    def __init__(self, menus: QMenuBar, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("places")
        self.setDocumentMode(True)
        self.tabBar().setAccessibleName("Places")
        self._menus = menus
        self._names = tuple(TITLES)
        self._places: dict[str, QWidget] = {}
        self._windows: dict[str, PlaceWindow] = {}
        self._docking = False
        for title in TITLES.values():
            self.addTab(QWidget(), title)
        self.tear_off_action = QAction("Show this place in a window of its &own", self)
        self.tear_off_action.setShortcut("Ctrl+Shift+O")
        self.tear_off_action.triggered.connect(lambda: self.tear_off(self.in_use))
        self.close_action = QAction("&Close this place", self)
        self.close_action.setShortcut("Ctrl+W")
        self.close_action.triggered.connect(lambda: self.close_place(self.in_use))
        self.tabBar().setAccessibleName("Places")
        corner = QWidget()
        row = QHBoxLayout(corner)
        # On the line of the tabs' texts, which stand above an underline.
        row.setContentsMargins(0, 2, 6, 3)
        row.setSpacing(2)
        for action, text in ((self.tear_off_action, "Own window"), (self.close_action, "Close")):
            row.addWidget(self._corner_button(action, text))
        self.setCornerWidget(corner)
        self.tabBar().setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tabBar().customContextMenuRequested.connect(self._show_menu)
        self.tabBar().tabBarDoubleClicked.connect(lambda tab: self.tear_off(self._names[tab]))
        self.currentChanged.connect(self._shown)
        self._show_actions()

    @property
    def current(self) -> str:
        """Name of the place whose tab is in front."""
        return self._names[self.currentIndex()]

    @property
    def in_use(self) -> str:
        """Name of the place whose window the user works in: the one in front, or one torn off."""
        active = QApplication.activeWindow()
        for name, window in self._windows.items():
            if window is active:
                return name
        return self.current

    def place(self, name: str) -> QWidget | None:
        """Return a place, None while it is not built."""
        return self._places.get(name)

    def window_of(self, name: str) -> PlaceWindow | None:
        """Return the window into which a place was torn off, None while it is docked."""
        return self._windows.get(name)

    def set_workbench(self, widget: QWidget) -> None:
        """Put the workbench into the first tab."""
        self._put(WORKBENCH, widget)

    def fill(self, name: str, place: QWidget) -> None:
        """Put a place into its tab; it leaves it when it is closed.

        Args:
            name: its key in :data:`TITLES`. place: a widget with a signal ``closed()``.
        """
        self._places[name] = place
        place.closed.connect(lambda: self._forget(name))  # type: ignore[attr-defined]
        self._put(name, place)
        self._show_actions()

    def show_place(self, name: str) -> None:
        """Bring the tab of a place to the front, or its window."""
        window = self._windows.get(name)
        if window is not None:
            window.show()
            window.raise_()
            window.activateWindow()
            return
        self.setCurrentIndex(self._names.index(name))
        if isinstance(QApplication.activeWindow(), PlaceWindow):
            self.window().raise_()
            self.window().activateWindow()

    def tear_off(self, name: str) -> None:
        """Show a place in a window of its own; its tab keeps a button that docks it."""
        if name == WORKBENCH or name in self._windows:
            return
        if name not in self._places:
            self.wanted.emit(name)
        place = self._places.get(name)
        if place is None:
            return
        self._put(name, self._note(name))
        window = PlaceWindow(place, TITLES[name], self._menus)
        window.dockRequested.connect(lambda: self.dock(name))
        self._windows[name] = window
        window.show()
        self._show_actions()

    def dock(self, name: str) -> None:
        """Put a place that was torn off back into its tab."""
        window = self._windows.pop(name, None)
        if window is not None:
            self._put(name, window.release())
            self.show_place(name)
            self._show_actions()

    def close_place(self, name: str) -> None:
        """Close a place and end what it does; its tab builds it again."""
        place = self._places.get(name)
        if place is not None:
            (self._windows.get(name) or place).close()

    def close_all(self) -> None:
        """Close all places."""
        for name in list(self._places):
            self.close_place(name)

    # --- within -----------------------------------------------------------------------------------

    def _put(self, name: str, page: QWidget) -> None:
        """Put a page into the tab of a place, where another one was."""
        index, front = self._names.index(name), self.currentIndex()
        old = self.widget(index)
        self._docking = True
        try:
            self.insertTab(index, page, self.tabText(index))
            self.removeTab(index + 1)
            self.setCurrentIndex(front)
        finally:
            self._docking = False
        if old is not None and old not in self._places.values():
            old.deleteLater()

    def _note(self, name: str) -> QWidget:
        """Return what the tab of a place shows while it is in a window of its own."""
        note = QWidget()
        text = PlainLabel(f"{TITLES[name]} is in a window of its own.")
        text.setProperty("role", "muted")
        text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        front, dock = QPushButton("Bring it to the front"), QPushButton("Dock it here")
        front.clicked.connect(lambda: self.show_place(name))
        dock.clicked.connect(lambda: self.dock(name))
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(front)
        buttons.addWidget(dock)
        buttons.addStretch(1)
        layout = QVBoxLayout(note)
        layout.addStretch(1)
        layout.addWidget(text)
        layout.addLayout(buttons)
        layout.addStretch(1)
        return note

    def _forget(self, name: str) -> None:
        """A place was closed: its tab is empty again, and another one is in front."""
        if self._places.pop(name, None) is None:
            return
        self._windows.pop(name, None)
        if self.current == name:
            self.setCurrentIndex(0)
        self._put(name, QWidget())
        self._show_actions()

    def _shown(self, index: int) -> None:
        if self._docking:
            return
        name = self._names[index]
        self._show_actions()
        if name != WORKBENCH and name not in self._places:
            self.wanted.emit(name)
        self.opened.emit(name)

    def _show_actions(self) -> None:
        built = self.current in self._places
        self.close_action.setEnabled(built or bool(self._windows))
        self.tear_off_action.setEnabled(built and self.current not in self._windows)

    def _show_menu(self, position: QPoint) -> None:
        bar: QTabBar = self.tabBar()
        index = bar.tabAt(position)
        if index <= 0:
            return
        name = self._names[index]
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if name in self._windows:
            menu.addAction("Dock", lambda: self.dock(name))
        else:
            menu.addAction("Show in a window of its own", lambda: self.tear_off(name))
        menu.addAction("Close", lambda: self.close_place(name)).setEnabled(name in self._places)
        menu.popup(bar.mapToGlobal(position))

    def _corner_button(self, action: QAction, text: str) -> QToolButton:
        button = QToolButton()
        button.setDefaultAction(action)
        button.setText(text)
        button.setAutoRaise(True)
        tip = action.text().replace("&", "")
        button.setToolTip(f"{tip} ({action.shortcut().toString()})")
        button.setAccessibleName(tip)
        # A button shows its action's text again whenever the action changes.
        action.changed.connect(lambda: button.setText(text))
        return button
