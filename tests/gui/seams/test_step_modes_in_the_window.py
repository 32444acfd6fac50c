"""From the wish for compiled steps, and from how steps are taken, to the line below the buttons."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QCheckBox
from pytestqt.qtbot import QtBot

from optlab.core.limits import UNTIL_STOPPED
from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow

from .conftest import BASE, WAIT, train

ENDLESS = {"steps": UNTIL_STOPPED}
MOMENTUM = {"optimizer": {"name": "momentum", "lr": 0.001}}


def test_that_the_window_says_how_steps_are_taken_and_why_not_faster(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(budget=ENDLESS, **MOMENTUM)
    controls, figures = window.controls, window.controls.figures
    controls.start_button.click()
    qtbot.waitUntil(lambda: "recorded steps" in figures.text(), timeout=WAIT)
    assert "Recorded steps: " in figures.toolTip()

    # Beside it, one whose steps are never recorded.
    live = window.bridge.live
    controls.start_button.click()
    assert not figures.text() and not figures.toolTip()
    delayed = {**BASE, "budget": ENDLESS, "delay": {"name": "fixed"}}
    window.experiment_panel.set_experiment(Experiment.from_dict(delayed))
    controls.start_button.click()
    reason = "They are not recorded because gradients are delayed."
    qtbot.waitUntil(lambda: reason in figures.toolTip(), timeout=WAIT)
    assert "ordinary steps" in figures.text()

    # The first one is followed again: it has said long ago how it takes its steps.
    qtbot.waitUntil(lambda: bool(live.run_id in window.beside.strip.lines), timeout=WAIT)
    window.beside.strip.lines[live.run_id].name.clicked.emit()
    qtbot.waitUntil(lambda: "recorded steps" in figures.text(), timeout=WAIT)


def test_that_compiled_steps_are_asked_for_in_the_form_and_undone(
    qtbot: QtBot, open_window: Callable[..., MainWindow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    window = open_window(**MOMENTUM, budget={"steps": 200})
    panel = window.experiment_panel
    box = panel.general.editors["compiled"].editor()
    assert isinstance(box, QCheckBox) and not box.isChecked()
    box.click()
    assert panel.experiment().general.compiled
    summary = panel.sections["general"].summary
    qtbot.waitUntil(lambda: summary.text().endswith(" · compiled"), timeout=WAIT)
    undo = window.findChild(QAction, "actionUndo")
    assert undo is not None
    undo.trigger()
    assert not panel.experiment().general.compiled and not box.isChecked()
    box.click()
    record = train(qtbot, window)
    assert Experiment.from_toml(record.experiment).general.compiled
    reason = "They are not compiled because there is no C++ compiler on this machine."
    assert reason in window.controls.figures.toolTip()
    assert "recorded steps" in window.controls.figures.text()


def test_that_a_run_for_which_the_form_asks_is_compiled(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(**MOMENTUM, budget={"steps": 200})
    window.experiment_panel.general.editors["compiled"].editor().click()
    record = train(qtbot, window)
    figures = window.controls.figures
    assert (record.status, record.steps) == ("finished", 200)
    assert "compiled steps" in figures.text()
    assert "Compiled steps: their operations were translated to C++" in figures.toolTip()
