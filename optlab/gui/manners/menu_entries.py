"""The menu entries of undo, palette, help, preferences and the run; and names for all actions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar

from optlab.gui.manners.recent_files import RecentFiles

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow

Call = Callable[..., object]
Built = Callable[[Callable[[], Call]], Call]
"""Makes of a function that finds what to call one that builds the panels before, and calls it."""
CHANGE_ALL = "actionChangeAllRuns"
"""Name of the action that lets live changes go to all runs in progress."""
ADD_CONTENDER = "actionAddContender"
"""Name of the action that adds a second optimizer to a comparison."""
_SHORT = 60
"""Letters up to which a tool tip is a name, and no text from outside."""


def add_file_entries(menu: QMenu, window: MainWindow, built: Built) -> RecentFiles:
    """Add the recent files below the entry that opens a file, and return their menu."""
    recent = RecentFiles(built(lambda: window.files.load), window)
    entries = menu.actions()
    menu.insertMenu(entries[1] if len(entries) > 1 else QAction(menu), recent)
    return recent


def add_edit_menu(window: MainWindow, built: Built) -> QMenu:
    """Add the menu *Edit*."""
    menu, keys = window.menuBar().addMenu("&Edit"), QKeySequence.StandardKey
    undo = _add(menu, "&Undo", built(lambda: window.manners.edits.undo), "actionUndo", keys.Undo)
    redo = _add(menu, "&Redo", built(lambda: window.manners.edits.redo), "actionRedo")
    redo.setShortcuts([QKeySequence("Ctrl+Shift+Z"), QKeySequence("Ctrl+Y")])
    for action, tip in (
        (undo, "Undo the last edit of the experiment"),
        (redo, "Redo the edit that was undone last"),
    ):
        action.setEnabled(False)
        action.setStatusTip(tip)
    menu.addSeparator()
    _add(
        menu,
        "&Search the form",
        built(lambda: window.manners.search_form),
        "actionSearchForm",
        keys.Find,
        "Show only the fields and sections that match a search",
    )
    menu.addSeparator()
    preferences = _add(
        menu,
        "&Preferences…",
        built(lambda: window.manners.show_preferences),
        "actionPreferences",
        "Ctrl+,",
        "Theme, font size, threads, pace, snapshots",
    )
    preferences.setMenuRole(QAction.MenuRole.PreferencesRole)
    return menu


def add_run_menu(window: MainWindow) -> QMenu:
    """Add the menu *Run*, whose entries press the buttons of the control bar."""
    menu = window.menuBar().addMenu("&Run")
    menu.addActions(window.controls.run_actions())
    menu.addSeparator()
    change_all = QAction("C&hange all runs in progress", menu)
    change_all.setObjectName(CHANGE_ALL)
    change_all.setCheckable(True)
    change_all.setStatusTip(
        "Let a live change of the experiment go to every run in progress, not only to the one that "
        "the plots follow"
    )
    menu.addAction(change_all)
    return menu


def add_help_entries(menu: QMenu, built: Built, window: MainWindow) -> None:
    """Add help on the focus, palette, shortcuts and first steps at the top of the menu *Help*."""
    first = menu.actions()[0] if menu.actions() else None
    entries = (
        (
            "&Help on this",
            lambda: window.manners.show_help,
            "actionHelp",
            QKeySequence.StandardKey.HelpContents,
            "Show the page of the field or component that has the focus",
        ),
        (
            "Command &palette…",
            lambda: window.manners.show_palette,
            "actionPalette",
            "Ctrl+Shift+P",
            "Find commands, components, presets, runs and pages by a few letters",
        ),
        (
            "&Keyboard shortcuts",
            lambda: window.manners.show_shortcuts,
            "actionShortcuts",
            "Ctrl+/",
            "List all shortcuts",
        ),
        (
            "&First steps…",
            lambda: window.manners.show_doors,
            "actionFirstSteps",
            None,
            "A guided run, your data, or a comparison",
        ),
    )
    for text, find, name, keys, tip in entries:
        action = _action(menu, text, built(find), name, keys, tip)
        menu.insertAction(first, action) if first is not None else menu.addAction(action)
    if first is not None:
        menu.insertSeparator(first)


def name_actions(menu_bar: QMenuBar) -> None:
    """Give each action of the menus that has none an object name and a status tip.

    Those of a menu within a menu begin with its name, so that no two are called alike.
    """
    for top in menu_bar.actions():
        menu = top.menu()
        if isinstance(menu, QMenu):
            _name(menu, "action")


def _name(menu: QMenu, prefix: str) -> None:
    for action in menu.actions():
        inner = action.menu()
        words = re.findall(r"\w+", action.text().replace("&", ""))
        name = prefix + "".join(word.capitalize() for word in words)
        if isinstance(inner, QMenu):
            _name(inner, name)
            continue
        if not action.objectName() and words:
            action.setObjectName(name)
        if not action.statusTip() and len(action.toolTip()) <= _SHORT:
            action.setStatusTip(action.toolTip())


def _add(
    menu: QMenu,
    text: str,
    act: Call,
    name: str,
    keys: QKeySequence.StandardKey | str | None = None,
    tip: str = "",
) -> QAction:
    action = _action(menu, text, act, name, keys, tip)
    menu.addAction(action)
    return action


def _action(
    menu: QMenu,
    text: str,
    act: Call,
    name: str,
    keys: QKeySequence.StandardKey | str | None,
    tip: str,
) -> QAction:
    action = QAction(text, menu)
    action.setObjectName(name)
    action.setStatusTip(tip)
    if keys is not None:
        action.setShortcut(QKeySequence(keys))
    action.triggered.connect(lambda _checked=False: act())
    return action
