"""Whatever is slow outside the window, its event loop goes on: no gap is longer than a blink.

The store is slowed down in this process, tables and models of the user's own in the worker. The
window's own thread never opens a store and never reads a table.
"""

from __future__ import annotations

import ast
import gc
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QElapsedTimer, Qt, QTimer
from PySide6.QtWidgets import QFileDialog, QMessageBox
from pytestqt.qtbot import QtBot

import optlab.gui
from optlab.experiment import Experiment
from optlab.gui.landscape.landscape_window import LandscapeWindow
from optlab.gui.main_window import MainWindow
from optlab.outside.datafiles import csv_table
from optlab.store import Store
from optlab.store import database as store_database
from optlab.training.control import Inbox
from optlab.training.session import session

from .conftest import BASE, WAIT, beside, wait_checked, write_table

SLOW_SECONDS = 1.5
LONGEST_GAP = 0.1
"""Seconds that the window's thread may be busy between two events; a blink."""
SLOWER = 2.0
"""How much longer the same work takes where other processes share caches and cores."""
LONGEST_WAIT = SLOW_SECONDS / 2
"""Seconds between two events by the clock: longer than other processes take the processor away,
shorter than any of the slow parts.
"""

SLOW_WORKER = f"""
import time
from optlab.outside.datafiles import csv_table
read = csv_table.reading
def slow(*arguments):
    time.sleep({SLOW_SECONDS})
    return read(*arguments)
csv_table.reading = slow
"""


class Gaps:
    """Measures the time between the events of a timer that is always due.

    Attributes:
        longest: by the clock. busiest: as time of the processor in this thread.
    """

    def __init__(self) -> None:
        self.longest = self.busiest = 0.0
        self._busy = 0.0
        self._clock = QElapsedTimer()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(5)
        self._timer.timeout.connect(self._tick)

    def _tick(self) -> None:
        self.longest = max(self.longest, self._clock.restart() / 1000.0)
        before, self._busy = self._busy, time.thread_time()
        self.busiest = max(self.busiest, self._busy - before)

    @contextmanager
    def watched(self, what: str) -> Iterator[None]:
        self.longest = self.busiest = 0.0
        self._busy = time.thread_time()
        self._clock.start()
        self._timer.start()
        yield
        self._tick()
        self._timer.stop()
        assert self.longest < LONGEST_WAIT, f"{what}: the window waited {self.longest:.3f} s"
        assert self.busiest < LONGEST_GAP * SLOWER, (
            f"{what}: the window computed {self.busiest:.3f} s"
        )


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Return a function that makes the store slow, and fails what opens it in this thread."""
    window_thread, wrong = threading.get_ident(), []
    connect, read = sqlite3.connect, csv_table.reading
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SLOW_WORKER, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), *sys.path]))

    def slow_connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        if threading.get_ident() == window_thread:
            wrong.append("the window's thread opened the store")
        time.sleep(SLOW_SECONDS)
        return connect(*arguments, **options)

    def slow_read(*arguments: Any) -> Any:
        if threading.get_ident() == window_thread:
            wrong.append("the window's thread read a table")
        time.sleep(SLOW_SECONDS)
        return read(*arguments)

    def begin() -> None:
        monkeypatch.setattr(store_database.sqlite3, "connect", slow_connect)
        monkeypatch.setattr(csv_table, "reading", slow_read)
        monkeypatch.setattr("optlab.catalogue.datasets.csv_file.reading", slow_read)

    yield begin
    assert wrong == []


def finished() -> str:
    """Store a finished run without a window, and return its id."""
    experiment = Experiment.from_dict(BASE)
    with Store.open() as store:
        writer = store.begin([experiment], "thread")
        for event in session([experiment], Inbox()):
            writer.record(event)
        writer.close()
        return store.runs()[0].id


def settle(qtbot: QtBot, window: MainWindow) -> None:
    """Wait until the worker is warm and the first preview is there.

    As the application does once it is open, set what is there apart from what the collector looks
    through: here that is also the heap of all earlier tests, which is not the window's to search.
    """
    qtbot.waitUntil(
        lambda: "examples" in window.experiment_panel.preview.message.text(), timeout=WAIT
    )
    qtbot.wait(300)
    gc.collect()
    gc.freeze()


def test_that_a_slow_store_never_stops_the_window(
    qtbot: QtBot,
    open_window: Callable[..., MainWindow],
    slow: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    run = finished()
    window = open_window()
    settle(qtbot, window)
    controls, gaps = window.controls, Gaps()
    slow()

    def start() -> None:
        controls.start_button.click()
        qtbot.waitUntil(lambda: not window.bridge.active, timeout=WAIT)

    def show() -> None:
        window.show_stored(run)
        assert "Loading" in controls.message.text()
        qtbot.waitUntil(lambda: "Showing" in controls.message.text(), timeout=WAIT)

    def look_for_interrupted() -> None:
        window.stored_runs.look_for_interrupted()
        qtbot.waitUntil(lambda: not window.stored_runs._runs.active, timeout=WAIT)

    def resume() -> None:
        window.resume(run)
        # A finished run cannot be resumed: the bridge may be active between two looks at it.
        qtbot.waitUntil(lambda: "finished" in window.banner.message.text(), timeout=WAIT)
        qtbot.waitUntil(lambda: not window.bridge.active, timeout=WAIT)

    def list_export_delete() -> None:
        runs = window.runs
        runs.begin()
        qtbot.waitUntil(lambda: runs.panel.model.row_of(run) is not None, timeout=WAIT)
        qtbot.waitUntil(lambda: not runs.reading.active, timeout=WAIT)
        runs.panel.select_run(run)
        runs.export()
        qtbot.waitUntil(lambda: "Written to" in runs.panel.message.text(), timeout=WAIT)
        runs.delete()
        qtbot.waitUntil(lambda: runs.panel.model.row_of(run) is None, timeout=WAIT)
        runs.undo()
        qtbot.waitUntil(lambda: runs.panel.model.row_of(run) is not None, timeout=WAIT)

    def landscape() -> None:
        other = LandscapeWindow(window._prewarmer)
        other.reload()
        qtbot.waitUntil(lambda: other.run.count() > 0, timeout=WAIT)
        other.close()
        other.deleteLater()

    monkeypatch.setattr(
        QFileDialog,
        "getSaveFileName",
        lambda *_: (str(tmp_path / "run.csv"), "CSV table (*.csv)"),
    )
    monkeypatch.setattr(QMessageBox, "exec", lambda _: QMessageBox.StandardButton.Yes)
    for act in (
        start,
        show,
        look_for_interrupted,
        resume,
        list_export_delete,
        landscape,
    ):
        with gaps.watched(act.__name__):
            act()


def test_that_slow_data_of_ones_own_never_stop_the_window(
    qtbot: QtBot, open_window: Callable[..., MainWindow], slow: Callable[[], None], tmp_path: Path
) -> None:
    path = write_table(tmp_path / "prices.csv", "regression")
    window = open_window()
    slow()
    settle(qtbot, window)
    panel, gaps = window.experiment_panel, Gaps()
    with gaps.watched("choosing data"):
        panel.set_section("dataset", {"name": "csv_file", "path": str(path)})
        assert panel.pending and not window.controls.start_button.isEnabled()
        assert "Reading" in window.controls.start_button.toolTip()
        wait_checked(qtbot, window)
    assert panel.chosen("loss") == "squared_error" and "this data" in panel.loss_note.text()
    with gaps.watched("starting"):
        # An edit that leaves the data alone keeps Start open, and Start waits for the check.
        panel.general.editors["seed"].set_value(5)
        panel._general_edited("seed")
        assert panel.pending and window.controls.start_button.isEnabled()
        window.controls.start_button.click()
        assert not window.bridge.active
        qtbot.waitUntil(lambda: window.bridge.active, timeout=WAIT)
    window.controls.stop_button.click()
    window.bridge.shut_down()


def test_that_the_answer_about_other_data_is_dropped(
    qtbot: QtBot, open_window: Callable[..., MainWindow], slow: Callable[[], None], tmp_path: Path
) -> None:
    window = open_window()
    settle(qtbot, window)
    slow()
    panel = window.experiment_panel
    panel.set_section("dataset", {"name": "csv_file", "path": str(tmp_path / "missing.csv")})
    panel.pick("dataset", "moons")
    assert not panel.pending and panel.problem() == ""
    qtbot.waitUntil(lambda: not window.checks.active, timeout=WAIT)
    assert panel.problem() == "" and beside(window) == []


def test_that_a_window_can_be_closed_while_it_waits(
    qtbot: QtBot, open_window: Callable[..., MainWindow], slow: Callable[[], None], tmp_path: Path
) -> None:
    run = finished()
    window = open_window()
    settle(qtbot, window)
    slow()
    window.show_stored(run)
    window.controls.start_button.click()
    window.experiment_panel.set_section(
        "dataset", {"name": "csv_file", "path": str(write_table(tmp_path / "a.csv", "classes"))}
    )
    window.close_without_asking()
    assert not window.isVisible()


def test_that_no_module_of_the_window_opens_the_store_but_in_a_task() -> None:
    """``Store`` is named where it is read in the background, and in the check of an installation."""
    folder = Path(optlab.gui.__file__).parent
    naming = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name) and node.id == "Store"
    }
    assert naming == {"bridge.py", "plots/value_export.py", "runs/overlay_task.py", "smoke.py"}
