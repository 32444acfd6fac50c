"""The menus of the main window."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, get_args

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu, QMessageBox, QWidget

from optlab import __version__
from optlab.gui import theme
from optlab.gui.manners import menu_entries
from optlab.gui.manners.menu_entries import ADD_CONTENDER
from optlab.gui.places import WORKBENCH
from optlab.gui.presets_menu import PresetsMenu
from optlab.gui.runs.runs_menu import RunsMenu
from optlab.gui.scenes_menu import ScenesMenu

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow


def build_menus(window: MainWindow) -> PresetsMenu:
    """Add all menus to the menu bar of the window, and return the menu of presets."""
    presets = _build_file_menu(window)
    menu_entries.add_edit_menu(window, partial(_when_built, window))
    run_menu = menu_entries.add_run_menu(window)
    run_menu.addSeparator()
    contender = _add(
        run_menu,
        "Add a contende&r…",
        _when_built(window, lambda: window.contenders.add),
        "Ctrl+Shift+N",
    )
    contender.setObjectName(ADD_CONTENDER)
    window.menuBar().addMenu(RunsMenu(window))
    _build_places_menu(window)
    _build_view_menu(window)
    _build_help_menu(window)
    menu_entries.name_actions(window.menuBar())
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
    menu, keys = window.menuBar().addMenu("&File"), QKeySequence.StandardKey
    built, editable = partial(_when_built, window), partial(_when_editable, window)
    presets = PresetsMenu(built(lambda: window.files.load), window)
    _add(menu, "&Open experiment…", built(lambda: window.files.open), keys.Open)
    _add(menu, "&Gallery…", built(lambda: window.secondary_windows.show_gallery), "Ctrl+G")
    menu.addMenu(presets)
    _add(menu, "&Import data…", editable(lambda: window.secondary_windows.import_data), "Ctrl+I")
    _add(menu, "Register a &model…", editable(lambda: window.secondary_windows.register_model))
    register = editable(lambda: window.secondary_windows.register_optimizer)
    _add(menu, "Register an optimi&zer…", register)
    _add(menu, "&Save experiment as…", built(lambda: window.files.save), keys.Save)
    _add(menu, "&Copy as command", built(lambda: window.copied.copy_command))
    _add(menu, "Copy as P&ython", built(lambda: window.copied.copy_script))
    menu.addSeparator()
    _add(menu, "&Quit", window.close, keys.Quit)
    window.recent_files = menu_entries.add_file_entries(menu, window, built)
    return presets


def _build_places_menu(window: MainWindow) -> None:
    menu, built = window.menuBar().addMenu("&Places"), partial(_when_built, window)
    _add(menu, "&Workbench", partial(window.places.show_place, WORKBENCH), "Ctrl+0")
    _add(menu, "&Surfaces", built(lambda: window.secondary_windows.show_surfaces), "Ctrl+Shift+S")
    _add(
        menu,
        "S&tudies and claims",
        built(lambda: window.secondary_windows.show_studies),
        "Ctrl+Shift+D",
    )
    _add(menu, "&Compare runs", built(lambda: window.secondary_windows.compare_runs))
    _add(menu, "&Loss landscape", built(lambda: window.secondary_windows.show_landscape), "Ctrl+L")
    _add(
        menu,
        "&Demonstrations",
        built(lambda: window.secondary_windows.show_demonstrations),
        "Ctrl+B",
    )
    _add(
        menu,
        "Watched r&uns",
        built(lambda: window.secondary_windows.show_watched),
        "Ctrl+Shift+W",
    )
    menu.addSeparator()
    menu.addActions([window.places.tear_off_action, window.places.close_action])


def _build_view_menu(window: MainWindow) -> None:
    menu = window.menuBar().addMenu("&View")
    menu.addMenu(window.layouts_menu)
    menu.addMenu(window.tiles_menu)
    _add(menu, "&Present", _when_built(window, lambda: window.secondary_windows.present), "F11")
    menu.addMenu(ScenesMenu(_when_built(window, lambda: window.secondary_windows.present), window))
    menu.addSeparator()
    group = QActionGroup(window)
    for name in get_args(theme.ThemeName):
        action = _add(menu, f"{name.capitalize()} colors", partial(theme.choose, name))
        action.setCheckable(True)
        action.setChecked(name == theme.choice())
        group.addAction(action)


def _build_help_menu(window: MainWindow) -> None:
    menu, built = window.menuBar().addMenu("&Help"), partial(_when_built, window)
    _add(menu, "&Catalogue…", built(lambda: window.secondary_windows.show_catalogue), "Ctrl+K")
    menu.addSeparator()
    for kind, text in (
        ("optimizer", "Page of this &optimizer"),
        ("initializer", "Page of this &initializer"),
        ("loss", "Page of this &loss"),
    ):
        _add(menu, text, built(partial(_page_of_selected, window, kind)))
    menu.addSeparator()
    _add(menu, "&This machine…", built(lambda: window.secondary_windows.show_machine))
    _add(menu, "&About OptLab", partial(show_about, window))
    menu_entries.add_help_entries(menu, built, window)


def _page_of_selected(window: MainWindow, kind: str) -> Callable[[], None]:
    return partial(window.show_page_of_selected, kind)


def _when_built(
    window: MainWindow, find: Callable[[], Callable[..., object]]
) -> Callable[..., None]:
    """Return a function that builds the panels of the window if they are missing, and acts then.

    Args:
        find: returns what to call when the panels are there.
    """

    def call(*arguments: object) -> None:
        window.complete()
        find()(*arguments)

    return call


def _when_editable(
    window: MainWindow, find: Callable[[], Callable[..., object]]
) -> Callable[..., None]:
    return _when_built(window, lambda: window.when_editable(find()))


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
