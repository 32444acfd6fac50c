"""Several runs in progress at once: one is followed, the others go on beside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from optlab.core.limits import UNTIL_STOPPED
from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow
from optlab.gui.manners.menu_entries import CHANGE_ALL
from optlab.gui.plots.gradient_plot import GradientPlot
from optlab.gui.plots.loss_plot import LossPlot
from optlab.gui.questions import InProgress
from optlab.gui.runs import runs_controller
from optlab.gui.runs.runs_menu import RunsMenu
from optlab.store import Store

from .conftest import BASE, WAIT, in_dialog, stored

ENDLESS = {"steps": UNTIL_STOPPED}


def follows(window: MainWindow) -> str:
    """Return the id of the run in progress that the plots follow, once they draw it."""
    live = window.bridge.live
    plot = window.plots.plot(LossPlot)
    drawn = "train_loss:0" in plot.keys and (plot.curve("train_loss:0").samples.last or 0) > 1
    return "" if live is None or live.started is None or not drawn else live.run_id


def test_that_two_runs_train_at_once_and_each_is_paused_stopped_and_followed_by_itself(
    qtbot: QtBot, open_window: Callable[..., MainWindow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_controller, "POLL_MILLISECONDS", 150)
    window = open_window(budget=ENDLESS, optimizer={"name": "sgd", "lr": 0.1})
    controls, beside, runs = window.controls, window.beside, window.runs
    window.timeline.set_pace(100)
    controls.start_button.click()
    qtbot.waitUntil(lambda: bool(follows(window)), timeout=WAIT)
    first = follows(window)
    assert not beside.strip.lines, "a run that is alone has its buttons in the control bar"

    # It goes on beside; the editor is free for another one.
    assert controls.start_button.text() == "New run"
    controls.start_button.click()
    assert not window.bridge.active and not window.experiment_panel.locked
    assert controls.start_button.text() == "Start" and first in runs.shown.visible
    window.experiment_panel.set_experiment(
        Experiment.from_dict({**BASE, "budget": ENDLESS, "optimizer": {"name": "adam", "lr": 0.01}})
    )
    controls.start_button.click()
    qtbot.waitUntil(lambda: bool(follows(window)), timeout=WAIT)
    second = follows(window)
    assert {one.id: one.status for one in stored()} == {first: "running", second: "running"}
    assert set(beside.strip.lines) == {first, second} and beside.strip.isVisible()

    # Both have rows in the panel, and the curve of the other one grows over the plot.
    over = f"train_loss@{first}"
    plot = window.plots.plot(LossPlot)
    qtbot.waitUntil(
        lambda: over in plot.keys and {first, second} <= set(runs.panel.model.table.rows),
        timeout=WAIT,
    )
    before = plot.curve(over).samples.last
    qtbot.waitUntil(lambda: plot.curve(over).samples.last > before, timeout=WAIT)

    # Each has its own buttons.
    line = beside.strip.lines[first]
    qtbot.mouseClick(line.pause, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: beside.runs.find(first).activity == "paused", timeout=WAIT)
    qtbot.waitUntil(lambda: line.pause.toolTip() == "Resume this run", timeout=WAIT)
    assert window.bridge.live.activity == "running" and controls.state == "running"
    paused_at = beside.runs.find(first).step

    # A live change goes to the followed run, or to all.
    action = window.findChild(object, CHANGE_ALL)
    window.experiment_panel.change_live({"optimizer.lr": 0.02})
    action.setChecked(True)
    window.experiment_panel.change_live({"optimizer.lr": 0.03})

    # The first one is followed again: the plots go on without a gap, and it is paused still.
    line.name.clicked.emit()
    qtbot.waitUntil(lambda: follows(window) == first, timeout=WAIT)
    assert controls.state == "paused" and window.experiment_panel.locked
    assert window.experiment_panel.experiment(check=False).optimizer.name == "sgd"
    assert second in beside.strip.lines and beside.runs.find(second).activity == "running"
    controls.pause_button.click()
    qtbot.waitUntil(lambda: window.bridge.live.step > paused_at + 5, timeout=WAIT)
    # And the second, while it trains.
    menu = window.findChild(RunsMenu)
    runs.panel.select_run(second)
    menu.of_runs["open_curves"].trigger()
    qtbot.waitUntil(lambda: follows(window) == second, timeout=WAIT)
    at = window.bridge.live.step
    assert window.experiment_panel.experiment(check=False).optimizer.lr == 0.03
    qtbot.waitUntil(lambda: window.bridge.live.step > at + 20, timeout=WAIT)

    # The menu stops the other one; this one is stopped from the control bar.
    runs.panel.select_run(first)
    menu.of_runs["stop_selected"].trigger()
    qtbot.waitUntil(lambda: not beside.runs.active and not beside.strip.lines, timeout=WAIT)
    assert "Stopped after" in runs.panel.message.text()
    controls.stop_button.click()
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=WAIT)
    drawn = window.plots.plot(GradientPlot).curve("gradient_norm:0").samples
    with Store.open() as store:
        records = {one: store.run(one) for one in (first, second)}
        series = store.series(second)["gradient_norm"]
        sent = {
            one: [(m.path, m.value) for _, m in store.controls(one) if hasattr(m, "path")]
            for one in records
        }
    assert {record.status for record in records.values()} == {"stopped"}
    assert sent == {
        first: [("optimizer.lr", 0.03)],
        second: [("optimizer.lr", 0.02), ("optimizer.lr", 0.03)],
    }
    # What is drawn of the run that was followed twice is what is stored: no gap, nothing twice.
    assert np.array_equal(series.steps, np.arange(1, records[second].steps + 1))
    shown = drawn.samples(0, series.steps[-1])
    assert np.array_equal(shown.steps, series.steps)
    assert np.array_equal(shown.values, series.values)


def test_that_closing_asks_once_about_all_runs_and_saves_each(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(budget=ENDLESS)
    window.timeline.set_pace(100)
    for number in range(2):
        window.controls.start_button.click()
        qtbot.waitUntil(lambda: bool(follows(window)), timeout=WAIT)
        if not number:
            window.controls.start_button.click()
    asked = []

    def stop(box: QMessageBox) -> bool:
        asked.append(box.text())
        next(one for one in box.buttons() if "Stop" in one.text()).click()
        return True

    in_dialog(QMessageBox, stop)
    window.close()
    assert asked == [
        "2 runs are in progress. Stop them and close? They are saved and can be resumed later."
    ]
    assert [(one.status, one.resumable) for one in stored()] == [("stopped", True)] * 2


def test_that_closing_asks_one_question_about_a_run_and_edits(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(budget=ENDLESS)
    window.experiment_panel.change({"optimizer.lr": 0.02})
    window.controls.start_button.click()
    qtbot.waitUntil(lambda: bool(follows(window)), timeout=WAIT)
    asked: list[str] = []

    def press(button: QMessageBox.StandardButton) -> Callable[[QMessageBox], bool]:
        def act(box: QMessageBox) -> bool:
            asked.append(box.text())
            box.button(button).click()
            return True

        return act

    # A second question would wait for an answer until the test fails.
    for button, closes in (("Cancel", False), ("Discard", True)):
        in_dialog(QMessageBox, press(QMessageBox.StandardButton[button]))
        assert window.close() is closes
        assert window.bridge.active is not closes
    question = (
        "A run is in progress. Closing stops it. It is saved and can be resumed later.\n\n"
        "The experiment has been edited. Save the changes before closing?"
    )
    assert asked == [question] * 2
    assert [(one.status, one.resumable) for one in stored()] == [("stopped", True)]


def test_that_what_closing_stops_is_named_together() -> None:
    assert not InProgress()
    assert InProgress(2, study=True).words == "2 runs and a study are in progress"
    assert InProgress(1, study=True).kept == "What they reached is kept, and they can go on later."
    assert InProgress(study=True).words == "A study is in progress"
