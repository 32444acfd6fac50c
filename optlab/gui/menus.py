"""The menus of the main window."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, get_args

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu, QMessageBox, QWidget

from optlab import __version__
from optlab.gui import theme
from optlab.gui.presets_menu import PresetsMenu

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow


def build_menus(window: MainWindow) -> PresetsMenu:
    """Add all menus to the menu bar of the window, and return the menu of presets."""
    presets = _build_file_menu(window)
    _build_instruments_menu(window)
    _build_view_menu(window)
    _build_help_menu(window)
    return presets


def show_about(parent: QWidget) -> None:
    """Show version and license."""
    QMessageBox.about(
        parent,
        "About OptLab",
        f"<b>OptLab {__version__}</b>"
        "<p>A laboratory for watching deep-learning optimization at work.</p>"
        "<p>Free software under the MIT license.</p>",
    )


def _build_file_menu(window: MainWindow) -> PresetsMenu:
    menu = window.menuBar().addMenu("&File")
    files, others, keys = window.files, window.secondary_windows, QKeySequence.StandardKey
    presets = PresetsMenu(files.load, window)
    _add(menu, "&Open experiment…", files.open, keys.Open)
    _add(menu, "&Gallery…", others.show_gallery, "Ctrl+G")
    menu.addMenu(presets)
    _add(menu, "&Import data…", window.when_editable(others.import_data), "Ctrl+I")
    _add(menu, "Register a &model…", window.when_editable(others.register_model))
    _add(menu, "&Save experiment as…", files.save, keys.Save)
    menu.addSeparator()
    _add(menu, "&Runs…", window.show_runs, "Ctrl+R")
    menu.addSeparator()
    _add(menu, "&Quit", window.close, keys.Quit)
    return presets


def _build_instruments_menu(window: MainWindow) -> None:
    menu = window.menuBar().addMenu("&Instruments")
    others = window.secondary_windows
    _add(menu, "&Surfaces…", others.show_surfaces, "Ctrl+Shift+S")
    _add(menu, "&Loss landscape…", others.show_landscape, "Ctrl+L")
    _add(menu, "&Demonstrations…", others.show_demonstrations, "Ctrl+B")
    _add(menu, "&Watched runs…", others.show_watched, "Ctrl+Shift+W")


def _build_view_menu(window: MainWindow) -> None:
    menu = window.menuBar().addMenu("&View")
    group = QActionGroup(window)
    for name in get_args(theme.ThemeName):
        action = _add(menu, f"{name.capitalize()} colors", partial(theme.choose, name))
        action.setCheckable(True)
        action.setChecked(name == theme.choice())
        group.addAction(action)


def _build_help_menu(window: MainWindow) -> None:
    menu = window.menuBar().addMenu("&Help")
    others = window.secondary_windows
    _add(menu, "&Catalogue…", others.show_catalogue, "Ctrl+K")
    menu.addSeparator()
    for kind, text in (
        ("optimizer", "Page of this &optimizer"),
        ("initializer", "Page of this &initializer"),
        ("loss", "Page of this &loss"),
    ):
        _add(menu, text, partial(window.show_page_of_selected, kind))
    menu.addSeparator()
    _add(menu, "&This machine…", others.show_machine)
    _add(menu, "&About OptLab", partial(show_about, window))


def _add(
    menu: QMenu,
    text: str,
    act: Callable[[], object],
    shortcut: QKeySequence.StandardKey | str | None = None,
) -> QAction:
    action = QAction(text, menu)
    if shortcut is not None:
        action.setShortcut(QKeySequence(shortcut))
    action.triggered.connect(lambda _checked=False: act())
    menu.addAction(action)
    return action
