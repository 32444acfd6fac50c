"""A stored run whose data file has changed: the window asks, and goes on where that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui.landscape.landscape_window import LandscapeWindow
from optlab.gui.main_window import MainWindow
from optlab.gui.panels.test_part_dialog import TestPartDialog
from optlab.gui.questions import CONTINUE
from optlab.runners.train import train as train_now
from optlab.store import Store
from optlab.store.records import RUNS

from .conftest import BASE, WAIT, in_runs, stored


@pytest.fixture
def changed_run(tmp_path: Path) -> tuple[str, Path]:
    """A stopped run on a table of which one row was replaced afterwards."""
    table = tmp_path / "flowers.csv"
    rows = "\n".join(f"{n}.5,{n % 7},{'red' if n % 3 else 'blue'}" for n in range(200))
    table.write_text(f"length,width,kind\n{rows}\n", encoding="utf-8")
    experiment = Experiment.from_dict(
        {**BASE, "dataset": {"name": "csv_file", "path": str(table), "target": "kind"}}
    )
    with Store.open() as store:
        job = train_now([experiment], runner="thread", store=store)
        assert job.join(WAIT / 1000)
        (run,) = job.run_ids
        store._connection.execute(*RUNS.update(run, status="stopped"))
        RUNS.write_checksums(store._connection, run)
    table.write_text(table.read_text("utf-8").replace("3.5,3,blue", "9.5,3,blue"), "utf-8")
    return run, table


def answer(text: str, seen: list[str]) -> None:
    """Press a button of the next question, and note what it asks."""

    def look() -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            QTimer.singleShot(20, look)
            return
        seen.append(box.text())
        next(button for button in box.buttons() if button.text().replace("&", "") == text).click()

    QTimer.singleShot(0, look)


def test_that_resuming_asks_and_goes_on_from_the_dialog_to_the_stored_run(
    qtbot: QtBot, open_window: Callable[..., MainWindow], changed_run: tuple[str, Path]
) -> None:
    run, table = changed_run
    window = open_window()
    in_runs(window, "resume")
    qtbot.waitUntil(lambda: len(window.banner.buttons) == 2, timeout=WAIT)
    sentence = window.banner.message.text()
    assert str(table) in sentence and run in sentence and "SHA-256" in sentence
    assert "command line" not in sentence and not window.bridge.active
    assert stored()[0].status == "stopped"
    button = next(item for item in window.banner.buttons if item.text() == CONTINUE)
    button.click()
    qtbot.waitUntil(lambda: stored()[0].status == "finished", timeout=WAIT)
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=WAIT)
    assert [record.id for record in stored()] == [run]
    assert stored()[0].steps == BASE["budget"]["steps"]


def test_that_the_test_part_is_evaluated_on_changed_data_only_where_that_is_wanted(
    qtbot: QtBot, open_window: Callable[..., MainWindow], changed_run: tuple[str, Path]
) -> None:
    run, table = changed_run
    window = open_window()
    seen: list[str] = []
    for press, expected in (("Cancel", "is not what run"), (CONTINUE, "that were not used for")):
        dialog = TestPartDialog(window._prewarmer, run, window)
        qtbot.addWidget(dialog)
        answer(press, seen)
        dialog.open()
        qtbot.waitUntil(lambda dialog=dialog, e=expected: e in dialog.figures.text(), timeout=WAIT)
        dialog.reject()
    assert len(seen) == 2 and all(str(table) in text and run in text for text in seen)


@pytest.mark.parametrize(
    "tab",
    [
        "Plane",
        *(
            pytest.param(tab, marks=pytest.mark.soak)
            for tab in ("Line", "Spectrum", "Critical point")
        ),
    ],
)
def test_that_the_landscape_of_changed_data_is_computed_only_where_that_is_wanted(
    qtbot: QtBot, open_window: Callable[..., MainWindow], changed_run: tuple[str, Path], tab: str
) -> None:
    run, table = changed_run
    window = open_window()
    landscape = LandscapeWindow(window._prewarmer)
    qtbot.addWidget(landscape)
    landscape.points.setValue(5)
    landscape.plane.setCurrentIndex(landscape.plane.findData("random"))
    for number in range(landscape.tabs.count()):
        if landscape.tabs.tabText(number) == tab:
            landscape.tabs.setCurrentIndex(number)
    seen: list[str] = []
    answer("Cancel", seen)
    landscape.show()
    qtbot.waitUntil(lambda: "is not what run" in landscape.status_label.text(), timeout=WAIT)
    results: list[object] = []
    landscape.tasks.answered.connect(results.append)
    answer(CONTINUE, seen)
    landscape.compute()
    qtbot.waitUntil(
        lambda: bool(results) or landscape.status_label.property("problem"), timeout=WAIT
    )
    assert results, landscape.status_label.text()
    assert len(seen) == 2 and all(str(table) in text and run in text for text in seen)
    landscape.close()
