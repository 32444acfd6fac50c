"""What is scrolled stays where it is when the theme changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QScrollBar
from pytestqt.qtbot import QtBot

from optlab.gui import theme
from optlab.gui.main_window import MainWindow
from optlab.gui.panels.page_view import PageView


@pytest.fixture(autouse=True)
def themed(qapp: QApplication) -> Iterator[None]:
    palette = qapp.palette()
    theme.notifier().following = qapp
    theme.choose("light")
    yield
    theme.notifier().following = None
    theme.choose("system")
    qapp.setStyleSheet("")
    qapp.setPalette(palette)


def scrolled(qtbot: QtBot, area: QAbstractScrollArea, *, beyond: int) -> QScrollBar:
    """Scroll an area to some pixels before its end, and return its scroll bar."""
    bar = area.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > beyond + 100, timeout=10_000)
    qtbot.wait(100)
    bar.setValue(bar.maximum() - beyond)
    return bar


@pytest.mark.parametrize("beyond", [0, 40, 300])
def test_that_a_long_form_stays_where_it_was(qtbot: QtBot, beyond: int) -> None:
    window = MainWindow(runner="thread")
    qtbot.addWidget(window)
    window.resize(1280, 720)
    window.show()
    qtbot.waitExposed(window)
    qtbot.waitUntil(lambda: not window.preview.active, timeout=60_000)
    bars = [
        scrolled(qtbot, area, beyond=beyond)
        for area in window.experiment_panel.findChildren(QAbstractScrollArea)
        if area.isVisible() and area.verticalScrollBar().maximum() > 500
    ]
    assert bars, "the form is longer than the window"
    before = [bar.value() for bar in bars]
    for choice in ("dark", "light"):
        theme.choose(choice)
        qtbot.wait(250)
        for bar, value in zip(bars, before, strict=True):
            assert (bar.maximum() if beyond == 0 else value) == bar.value()


def test_that_a_page_stays_where_it_was(qtbot: QtBot) -> None:
    page = PageView()
    qtbot.addWidget(page)
    page.resize(500, 200)
    page.show_component("optimizer", "adam")
    page.show()
    bar = scrolled(qtbot, page, beyond=60)
    before = bar.value()
    theme.choose("dark")
    qtbot.wait(50)
    assert abs(bar.value() - before) <= 1
