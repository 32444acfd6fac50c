"""Places are tabs of the one window: built when opened, torn off, docked, closed and reopened."""

from __future__ import annotations

from typing import cast

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLabel, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from optlab.gui.main_window import MainWindow
from optlab.gui.places import TITLES, WORKBENCH
from optlab.gui.studies.studies_window import StudiesWindow
from optlab.gui.watched.watched_window import WatchedWindow

pytestmark = pytest.mark.qt_log_ignore("does not support raise", extend=True)


@pytest.fixture
def window(qtbot: QtBot) -> MainWindow:
    window = MainWindow(None, "thread", at_once=False)
    qtbot.addWidget(window)
    window.show()
    return window


def click_tab(window: MainWindow, qtbot: QtBot, name: str) -> None:
    bar = window.places.tabBar()
    middle = bar.tabRect(list(TITLES).index(name)).center()
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=middle)


def test_the_life_of_a_place(window: MainWindow, qtbot: QtBot) -> None:
    places = window.places
    assert [places.tabText(tab) for tab in range(places.count())] == list(TITLES.values())
    assert places.current == WORKBENCH and not places.close_action.isEnabled()

    # A click builds it, even before the panels of the workbench are there.
    click_tab(window, qtbot, "watched")
    first = places.place("watched")
    assert isinstance(first, WatchedWindow) and first.isVisible() and not first.isWindow()
    assert first.window() is window and places.currentWidget() is first
    assert not window.controls.isVisible(), "what it names by Ctrl+Return is another button's here"

    # Torn off, it lives on in a window that has the menus of the main window.
    places.tear_off_action.trigger()
    torn = places.window_of("watched")
    assert torn is not None and torn.centralWidget() is first and first.window() is torn
    assert places.place("watched") is first and places.current == "watched"
    assert [action.text() for action in torn.menuBar().actions()] == [
        action.text() for action in window.menuBar().actions()
    ]

    places.show_place(WORKBENCH)
    qtbot.mouseClick(torn.dock_button, Qt.MouseButton.LeftButton)
    assert places.window_of("watched") is None
    assert places.currentWidget() is first and first.window() is window and first.isVisible()

    # Closed, it is built anew; the workbench is in front meanwhile.
    places.close_action.trigger()
    assert places.place("watched") is None and places.current == WORKBENCH
    click_tab(window, qtbot, "watched")
    second = places.place("watched")
    assert isinstance(second, WatchedWindow) and second is not first

    # A window that was torn off closes its place.
    places.tear_off("watched")
    torn = places.window_of("watched")
    assert torn is not None and torn.close()
    assert places.place("watched") is None and places.current == WORKBENCH
    assert [places.tabText(tab) for tab in range(places.count())] == list(TITLES.values())


def test_that_a_shortcut_of_the_menu_acts_in_a_window_that_was_torn_off(
    window: MainWindow, qtbot: QtBot
) -> None:
    window.complete()
    window.secondary_windows.show_watched()
    window.places.tear_off("watched")
    torn = window.places.window_of("watched")
    assert torn is not None
    torn.activateWindow()
    qtbot.waitUntil(torn.isActiveWindow)
    seen: list[bool] = []
    (gallery,) = [a for a in window.findChildren(QAction) if a.text() == "&Gallery…"]
    gallery.triggered.disconnect()
    gallery.triggered.connect(lambda: seen.append(True))
    qtbot.keyClick(torn, Qt.Key.Key_G, Qt.KeyboardModifier.ControlModifier)
    assert seen == [True]


def test_that_the_key_of_start_acts_on_the_place_in_use_only(
    window: MainWindow, qtbot: QtBot
) -> None:
    window.complete()
    window.secondary_windows.show_studies()
    places, pressed = window.places, []
    place = cast(StudiesWindow, places.place("studies"))
    for signal, name in (
        (window.controls.startRequested, "start"),
        (window.controls.stopRequested, "stop"),
        (place.run_action.triggered, "study"),
        (place.stop_action.triggered, "stop study"),
    ):
        signal.disconnect()
        signal.connect(lambda *_, name=name: pressed.append(name))
    place.run_action.setEnabled(True)
    place.stop_action.setEnabled(True)
    window.controls.set_state("idle")

    def press(target: QWidget) -> list[str]:
        pressed.clear()
        target.activateWindow()
        qtbot.waitUntil(target.isActiveWindow)
        for key in (Qt.Key.Key_Return, Qt.Key.Key_T):
            qtbot.keyClick(target, key, Qt.KeyboardModifier.ControlModifier)
            qtbot.wait(150)  # a button is seen to be pressed before it acts
            window.controls.set_state("running")
        window.controls.set_state("idle")
        return list(pressed)

    # The focus is on the tab, in no field of the place.
    places.tabBar().setFocus()
    assert press(window) == ["study", "stop study"]
    places.tear_off("studies")
    torn = places.window_of("studies")
    assert torn is not None
    assert press(torn) == ["study", "stop study"]
    places.show_place(WORKBENCH)
    assert press(window) == ["start", "stop"]
    places.dock("studies")
    assert press(window) == ["study", "stop study"]


def test_that_all_places_close_with_the_window(window: MainWindow) -> None:
    window.complete()
    window.secondary_windows.show_watched()
    window.places.tear_off("watched")
    torn = window.places.window_of("watched")
    assert torn is not None
    window.close_without_asking()
    assert not torn.isVisible() and window.places.place("watched") is None


def test_that_the_buttons_beside_the_tabs_stand_on_their_line(window: MainWindow) -> None:
    places = window.places
    corner, bar = places.cornerWidget(), places.tabBar()
    line = bar.mapTo(places, bar.tabRect(0).center()).y()
    for button in corner.findChildren(QToolButton):
        assert abs(button.mapTo(places, button.rect().center()).y() - line) <= 1


def test_that_an_empty_place_says_what_will_be_there(window: MainWindow, qtbot: QtBot) -> None:
    for name, hint in (
        ("watched", "The series that are ticked"),
        ("demonstrations", "Run computes this demonstration"),
        ("studies", "The result of the study or claim"),
    ):
        click_tab(window, qtbot, name)
        place = window.places.place(name)
        assert place is not None
        labels = place.findChildren(QLabel)
        qtbot.waitUntil(
            lambda labels=labels, hint=hint: any(
                label.isVisible() and label.text().startswith(hint) for label in labels
            )
        )
        window.places.close_place(name)
