"""The window is painted before its panels are there, and nothing is lost or moves in between."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QRect, Qt, QTimer
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui import app, main_window, theme
from optlab.gui.bridge import RunBridge
from optlab.gui.main_window import MainWindow
from optlab.gui.manners.session import Session
from optlab.gui.panels.help_page import HelpPage

FIRST_FRAME = """
import builtins, os, sys
plain_import = builtins.__import__
import optlab.entry
import optlab.core.display
from optlab.core import lazy_module

def shown(self):
    QMainWindow.show(self)
    self.firstPainted.connect(painted)

def painted():
    large = "numpy pydantic pyqtgraph torch sklearn sqlite3 multiprocessing".split()
    own = [f"optlab.{part}" for part in
           "catalogue experiment numerics outside objective curvature optim training store studies "
           "tasks runners cli".split()]
    loaded = sorted(set(large + own) & set(sys.modules))
    print("loaded before the first paint:", loaded, flush=True)
    print("reads sources:", builtins.__import__ is not plain_import, flush=True)
    os._exit(1 if loaded or builtins.__import__ is not plain_import else 0)

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "optlab.gui.main_window":
            global QMainWindow
            from PySide6.QtWidgets import QMainWindow
            from optlab.gui.window_frame import WindowFrame
            WindowFrame.show = shown

sys.meta_path.insert(0, Finder())
optlab.entry.main([])
"""


def test_that_nothing_large_is_imported_before_the_first_paint() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_FRAME], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "loaded before the first paint: []" in done.stdout


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[MainWindow]:
    window = MainWindow(None, "thread", at_once=False)
    qtbot.addWidget(window)
    yield window
    window.close_without_asking()


@pytest.fixture
def themed(qapp: QApplication) -> Iterator[None]:
    theme.notifier().following = qapp
    theme.choose("light")
    yield
    theme.notifier().following = None
    theme.choose("system")
    qapp.setStyleSheet("")


def places(window: MainWindow) -> dict[str, QRect]:
    """Where each control is that the first paint shows."""
    controls = window.controls
    shown: dict[str, QWidget] = {
        "menus": window.menuBar(),
        "places": window.places,
        "board": window.board_area,
        "Start": controls.start_button,
        "Stop": controls.stop_button,
        "progress": controls.progress,
        "message": controls.message,
        "right": controls.parentWidget(),
    }
    return {
        name: QRect(widget.mapTo(window, widget.rect().topLeft()), widget.size())
        for name, widget in shown.items()
    }


@pytest.mark.usefixtures("themed")
def test_that_nothing_moves_when_the_panels_come(window: MainWindow, qtbot: QtBot) -> None:
    window._after_first_paint = lambda: None  # type: ignore[method-assign]
    style_sheet = QApplication.instance().styleSheet()  # type: ignore[union-attr]
    window.resize(1360, 860)
    with qtbot.waitSignal(window.firstPainted):
        window.show()
    assert not hasattr(window, "plots")
    before = places(window)
    qtbot.waitUntil(lambda: hasattr(window, "plots") and window.plots.isVisible(), timeout=30_000)
    QApplication.processEvents()
    assert places(window) == before
    assert QApplication.instance().styleSheet() == style_sheet != ""  # type: ignore[union-attr]
    assert window.board_area.widget() is window.plots


def test_that_a_run_can_be_started_before_the_panels_are_there(
    window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Experiment] = []
    monkeypatch.setattr(RunBridge, "start", lambda _, experiment, *__: started.append(experiment))
    window.show()
    assert not hasattr(window, "bridge")
    qtbot.mouseClick(window.controls.start_button, Qt.MouseButton.LeftButton)
    assert [experiment.dataset.name for experiment in started] == ["digits"]
    assert window.controls.state == "starting"


def test_that_nothing_opens_after_a_window_that_closes_when_its_panels_come(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTLAB_HOME", str(tmp_path))  # a first start, which shows the doors
    window = MainWindow(None, "thread", at_once=False, session=Session(stored=True))
    qtbot.addWidget(window)
    window.panelsBuilt.connect(lambda: QTimer.singleShot(0, window, window.close_without_asking))
    with qtbot.waitSignal(window.panelsBuilt, timeout=30_000):
        window.show()
    qtbot.waitUntil(lambda: not window.isVisible())
    qtbot.wait(100)
    assert [one for one in QApplication.topLevelWidgets() if one.isVisible()] == []


def test_that_a_menu_entry_acts_before_the_panels_are_there(
    window: MainWindow, qtbot: QtBot
) -> None:
    window.show()
    (action,) = [a for a in window.findChildren(QAction) if a.text() == "Page of this &optimizer"]
    action.trigger()
    pages = window.findChildren(HelpPage)
    assert len(pages) == 1
    assert window.experiment_panel.chosen("optimizer") == "momentum"
    pages[0].close()


def test_that_a_window_that_is_never_painted_gets_its_panels(
    window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_window, "_UNPAINTED_MILLISECONDS", 10)
    window.removeEventFilter(window)
    window.show()
    qtbot.waitUntil(lambda: window._built, timeout=30_000)


def test_that_a_window_that_is_closed_at_once_builds_nothing(
    window: MainWindow, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(window.firstPainted):
        window.show()
    assert window.close()
    qtbot.wait(50)
    assert not hasattr(window, "bridge")
    assert window.failure is None


def test_that_an_error_after_the_first_paint_ends_the_program(
    qapp: QApplication, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main_window, "DEFAULT_PRESET", "missing")
    monkeypatch.setattr(theme, "follow", lambda _: None)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    assert app.main() == 2
    for window in qapp.topLevelWidgets():
        if isinstance(window, MainWindow):
            window.deleteLater()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert "missing.toml" in capsys.readouterr().err
