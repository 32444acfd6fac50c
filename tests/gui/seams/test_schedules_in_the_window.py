"""Schedules in the window: written in the form, previewed as curves, trained and stored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui.forms.schedules_form import SchedulesForm
from optlab.gui.main_window import MainWindow

from .conftest import WAIT, assert_refused, train

RAISED = "from 0.5; linear to 0.9 in 250"


def type_line(qtbot: QtBot, form: SchedulesForm, path: str, line: str) -> None:
    row = form.rows[path]
    row.line.selectAll()
    qtbot.keyClick(row.line, Qt.Key.Key_Delete)
    qtbot.keyClicks(row.line, line)


def add(form: SchedulesForm, path: str) -> None:
    index = form.picker.findData(path)
    assert index > 0
    form.picker.setCurrentIndex(index)
    form.picker.activated.emit(index)


def test_that_a_schedule_that_is_added_and_typed_is_previewed_trained_and_stored(
    qtbot: QtBot, open_window: Callable[..., MainWindow], uncaught: list[str]
) -> None:
    window = open_window(optimizer={"name": "momentum"}, budget={"steps": 300})
    panel = window.experiment_panel
    form = panel.schedules
    add(form, "optimizer.momentum")
    type_line(qtbot, form, "optimizer.momentum", RAISED)
    (curve,) = form.preview.curves
    assert curve.path == "optimizer.momentum" and not form.preview.isHidden()
    np.testing.assert_allclose(curve.values[[0, 250, 299]], [0.5, 0.9, 0.9])
    assert form.picker.findData("optimizer.momentum") < 0, "it has a schedule"
    assert panel.sections["schedules"].summary.text() == "Momentum (optimizer)"
    assert panel.edited
    run = train(qtbot, window)
    trained = Experiment.from_toml(run.experiment)
    assert {one.path: one.line for one in trained.schedules} == {"optimizer.momentum": RAISED}
    form.rows["optimizer.momentum"].button.click()
    assert panel.experiment().schedules == () and form.preview.isHidden()


def test_that_a_mistake_is_told_beside_the_line_and_nothing_starts_until_it_is_mended(
    qtbot: QtBot, open_window: Callable[..., MainWindow], uncaught: list[str]
) -> None:
    window = open_window(shown=False, schedules={"loss.l2": "from 0.1"})
    form = window.experiment_panel.schedules
    row = form.rows["loss.l2"]
    assert row.line.text() == "from 0.1"
    type_line(qtbot, form, "loss.l2", "linear to 1")
    assert row.problem.text().endswith("but 'in' is missing before the end.")
    assert_refused(window, uncaught)
    type_line(qtbot, form, "loss.l2", "linear to 1 in 5")
    assert row.problem.text() == "" and window.experiment_panel.experiment().schedules


def test_that_a_value_out_of_bounds_is_told_beside_its_line(
    qtbot: QtBot, open_window: Callable[..., MainWindow], uncaught: list[str]
) -> None:
    window = open_window(
        shown=False,
        optimizer={"name": "momentum"},
        schedules={"optimizer.momentum": RAISED},
    )
    form = window.experiment_panel.schedules
    type_line(qtbot, form, "optimizer.momentum", "linear to 2 in 5")
    problem = form.rows["optimizer.momentum"].problem.text()
    assert problem.startswith("schedules.optimizer.momentum reaches 2, but")
    assert_refused(window, uncaught)


def test_that_the_schedules_of_a_rule_go_with_the_rule(
    qtbot: QtBot, open_window: Callable[..., MainWindow], uncaught: list[str]
) -> None:
    window = open_window(
        shown=False,
        optimizer={"name": "momentum"},
        schedules={"optimizer.momentum": RAISED, "loss.l2": "from 0.1"},
    )
    panel = window.experiment_panel
    panel.pick("optimizer", "adam")
    assert list(panel.schedules.rows) == ["loss.l2"]
    assert panel.problem() == "" and panel.schedules.picker.findData("optimizer.beta1") > 0


def test_that_the_rate_is_drawn_once_the_epoch_is_known(
    qtbot: QtBot, open_window: Callable[..., MainWindow], uncaught: list[str]
) -> None:
    pieces = "from 0%; linear to 100% in 2 epochs; cosine to 0 in 60"
    window = open_window(
        schedule={"name": "pieces", "pieces": pieces},
        batches={"name": "shuffled", "size": 9},
        budget={"steps": 100},
    )
    preview = window.experiment_panel.form.rate_preview
    qtbot.waitUntil(lambda: bool(preview.curves), timeout=WAIT)
    (curve,) = preview.curves
    assert curve.path == "optimizer.lr"
    assert int(np.argmax(curve.values)) == 20, "90 examples in batches of 9: an epoch is 10 steps"
    preview.grab()
    window.experiment_panel.pick("schedule", "constant")
    assert preview.curves == ()
