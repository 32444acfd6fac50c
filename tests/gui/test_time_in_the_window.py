"""Time in the real window: the timeline, rewinding, forks, the pace, and one step explained."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from optlab.core import paths
from optlab.core.errors import OptLabError
from optlab.core.limits import UNTIL_STOPPED
from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow
from optlab.gui.plots.loss_plot import LossPlot
from optlab.store import Store
from optlab.training.control import SetValue

WAIT = 60_000


@pytest.fixture
def window(qtbot) -> MainWindow:
    experiment = Experiment.from_dict(
        {
            "title": "Moons",
            "dataset": {"name": "moons", "size": 100},
            "model": {"name": "mlp", "hidden": [6]},
            "optimizer": {"name": "momentum"},
            "budget": {"steps": 300},
        }
    )
    made = MainWindow(experiment, runner="thread")
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    return made


def trained(qtbot, window: MainWindow) -> str:
    """Train what the editor shows, and return the id of the newest run."""
    with qtbot.waitSignal(window.bridge.sessionEnded, timeout=WAIT):
        qtbot.mouseClick(window.controls.start_button, Qt.MouseButton.LeftButton)
    with Store.open_readonly() as store:
        return store.runs()[0].id


@pytest.mark.qt_log_ignore("does not support raise")
def test_an_afternoon_of_rewinding_and_forking(qtbot, window):
    panel, plot = window.timeline, window.plots.plot(LossPlot)
    assert panel.label.text() == "no run yet" and not panel.track.isEnabled()
    assert not panel.fork_button.isEnabled()
    parent = trained(qtbot, window)
    assert panel.label.text() == "step 300 of 300" and {0, 300} <= panel.track.snapshots

    # Rewind: looking. The curves get a line, nothing is lost.
    panel.track.setFocus()
    panel.track.setValue(120)
    assert panel.looking and plot.marks.cursor == 120
    assert panel.label.text() == "step 120 of 300"
    qtbot.mouseClick(panel.now_button, Qt.MouseButton.LeftButton)
    assert plot.marks.cursor is None and panel.step == 300 and not panel.looking

    # One step explained, which follows the handle.
    panel.look_at(120)
    qtbot.mouseClick(panel.explain_button, Qt.MouseButton.LeftButton)
    steps = window.time._window
    qtbot.waitUntil(lambda: steps.explanation is not None, timeout=WAIT)
    assert steps.explanation.step == 120 and "Momentum" in steps.view.toPlainText()
    panel.look_at(180)
    qtbot.waitUntil(lambda: steps.explanation.step == 180, timeout=WAIT)
    steps.parameter.setText("layers.0.bias[2]")
    steps.parameter.editingFinished.emit()
    qtbot.waitUntil(lambda: steps.explanation.parameter == "layers.0.bias[2]", timeout=WAIT)
    steps.close()
    assert window.time._window is None

    # Fork with Adam: the editor first, then Start.
    panel.look_at(200)
    qtbot.mouseClick(panel.fork_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.controls.start_button.text() == "Start fork", timeout=WAIT)
    assert "Start forks “Moons” at step 200" in window.banner.message.text()
    window.experiment_panel.pick("optimizer", "adam")
    forked = trained(qtbot, window)
    with Store.open_readonly() as store:
        record = store.run(forked)
        assert (record.parent, record.at, record.steps) == (parent, 200, 300)
        assert Experiment.from_toml(record.experiment).optimizer.name == "adam"
        steps_of_fork = store.series(forked)["batch_loss"].steps
    assert steps_of_fork[0] == 201
    assert window.controls.start_button.text() == "Start"
    # The curves of the parent lead to those of the fork.
    (batch,) = (one for key, one in plot._curves.items() if "batch" in key)
    assert (batch.samples.first, batch.samples.last) == (1, 300)
    assert panel.track.minimum() == 200 and panel.label.text() == "step 300 of 300"


@pytest.mark.parametrize("step", [0, 1])
def test_that_a_run_is_forked_at_its_first_steps(qtbot, window, step):
    """Where its parent has hardly any values, or none."""
    parent, panel = trained(qtbot, window), window.timeline
    panel.look_at(step)
    panel.fork_button.click()
    qtbot.waitUntil(lambda: window.controls.start_button.text() == "Start fork", timeout=WAIT)
    forked = trained(qtbot, window)
    with Store.open_readonly() as store:
        record = store.run(forked)
        assert (record.parent, record.at, record.status) == (parent, step, "finished")
        assert record.theta_sha256 == store.run(parent).theta_sha256
    (batch,) = (one for key, one in window.plots.plot(LossPlot)._curves.items() if "batch" in key)
    assert (batch.samples.first, batch.samples.last) == (1, 300)


def test_that_a_fork_can_be_given_up_and_one_that_does_not_fit_says_why(qtbot, window):
    trained(qtbot, window)
    window.timeline.fork_button.click()  # at the last step, where the budget is spent
    qtbot.waitUntil(lambda: window.controls.start_button.text() == "Start fork", timeout=WAIT)
    window.controls.start_button.click()
    qtbot.waitUntil(lambda: "budget of 300 steps is spent" in window.controls.message.text())
    assert window.controls.state == "idle" and not window.bridge.active

    def answer(text: str) -> None:
        (button,) = (one for one in window.banner.buttons if one.text() == text)
        button.click()

    window.experiment_panel.change({"budget.steps": 400})
    window.controls.start_button.click()
    answer("Cancel")
    assert window.controls.state == "idle" and "cancelled" in window.controls.message.text()
    qtbot.waitUntil(lambda: not window.time.work.active, timeout=WAIT)
    assert not window.bridge.active and window.controls.start_button.text() == "Start fork"
    answer("New run instead")
    assert window.controls.start_button.text() == "Start"
    fresh = trained(qtbot, window)
    with Store.open_readonly() as store:
        assert store.run(fresh).parent == ""


def test_that_a_run_in_progress_is_forked_and_goes_on_beside(qtbot, window):
    panel = window.timeline
    tip, actions = panel.fork_button.toolTip(), {one.text(): one for one in panel.actions()}
    assert "Start an experiment first" in tip and not actions["Fork…"].isEnabled()
    window.experiment_panel.change({"budget.steps": UNTIL_STOPPED})
    panel.pace.setCurrentIndex(panel.pace.findText("100 steps/s"))
    window.controls.start_button.click()
    qtbot.waitUntil(lambda: window.bridge.active and panel.track.maximum() > 60, timeout=WAIT)
    assert "in the background" in panel.fork_button.toolTip() and actions["Fork…"].isEnabled()
    parent = window.time.run_id
    window.experiment_panel.change_live({"optimizer.lr": 0.02})
    qtbot.waitUntil(lambda: bool(panel.track.changes), timeout=WAIT)

    # At an earlier step than the change.
    panel.look_at(40)
    panel.fork_button.click()
    qtbot.waitUntil(lambda: window.controls.start_button.text() == "Start fork", timeout=WAIT)
    assert "Start forks “Moons” at step 40" in window.banner.message.text()
    assert not window.bridge.active and not window.experiment_panel.locked
    assert window.experiment_panel.experiment().optimizer.lr != 0.02
    assert parent in window.runs.shown.visible and window.beside.runs.find(parent) is not None
    assert panel.label.text().startswith("step 40 of") and panel.fork_button.isEnabled()
    window.experiment_panel.pick("optimizer", "adam")
    window.experiment_panel.change({"budget.steps": 90})
    forked = trained(qtbot, window)
    assert window.beside.runs.find(parent).step > 60, "the parent goes on"
    window.beside.stop([parent])
    qtbot.waitUntil(lambda: not window.beside.runs.active, timeout=WAIT)
    with Store.open_readonly() as store:
        record, origin = store.run(forked), store.run(parent)
        assert (record.parent, record.at, record.steps) == (parent, 40, 90)
        assert store.series(forked)["batch_loss"].steps[0] == 41
        assert store.series(parent)["batch_loss"].steps[-1] == origin.steps


def test_that_a_fork_at_a_step_that_is_not_stored_yet_begins_at_the_last_that_is(qtbot, window):
    panel = window.timeline
    window.experiment_panel.change({"budget.steps": UNTIL_STOPPED})
    panel.pace.setCurrentIndex(panel.pace.findText("100 steps/s"))
    window.controls.start_button.click()
    qtbot.waitUntil(lambda: window.bridge.active and panel.track.maximum() > 20, timeout=WAIT)
    window.time.prepare(10**6)
    qtbot.waitUntil(lambda: window.controls.start_button.text() == "Start fork", timeout=WAIT)
    assert 0 < panel.step <= panel.track.maximum()
    window.beside.stop([window.time.run_id])
    qtbot.waitUntil(lambda: not window.beside.runs.active, timeout=WAIT)


def test_that_a_fork_for_which_edits_would_be_lost_is_not_prepared(qtbot, window, monkeypatch):
    trained(qtbot, window)
    window.experiment_panel.change({"optimizer.lr": 0.007})
    asked = []
    monkeypatch.setattr(
        window.files, "may_discard_edits", lambda what: asked.append(what) or not asked
    )
    window.timeline.look_at(100)
    window.timeline.fork_button.click()
    qtbot.waitUntil(lambda: bool(asked), timeout=WAIT)
    assert window.controls.start_button.text() == "Start"
    assert window.experiment_panel.experiment().optimizer.lr == 0.007


def test_that_pace_and_budget_can_be_left_to_the_user_and_changes_are_marked(qtbot, window):
    panel, endless = window.timeline, window.timeline.endless
    endless.click()
    assert window.experiment_panel.experiment().budget.steps == UNTIL_STOPPED
    endless.click()
    assert window.experiment_panel.experiment().budget.steps == 300
    endless.click()
    panel.pace.setCurrentIndex(panel.pace.findText("10 steps/s"))
    window.controls.start_button.click()
    qtbot.waitUntil(lambda: window.bridge.active and panel.track.maximum() >= 2, timeout=WAIT)
    assert panel.fork_button.isEnabled() and not endless.isEnabled()
    window.bridge.send(SetValue("optimizer.lr", 0.02))
    qtbot.waitUntil(lambda: bool(panel.track.changes), timeout=WAIT)
    panel.pace.setCurrentIndex(0)
    qtbot.waitUntil(lambda: panel.track.maximum() > 300, timeout=WAIT)
    assert "until you stop" in window.controls.figures.text()
    with qtbot.waitSignal(window.bridge.sessionEnded, timeout=WAIT):
        window.controls.stop_button.click()
    assert endless.isChecked() and endless.isEnabled()
    (change,) = panel.track.changes
    assert change in panel.track.snapshots
    # The marks come back with the stored run.
    with Store.open_readonly() as store:
        (record,) = store.runs()
    assert record.status == "stopped" and record.steps > 300
    panel.clear()
    window.show_stored(record.id)
    qtbot.waitUntil(lambda: panel.track.changes == {change}, timeout=WAIT)
    assert change in window.plots.plot(LossPlot).marks.steps


def test_that_advice_can_be_tried_as_a_fork(qtbot, window):
    window.experiment_panel.set_experiment(Experiment.load(paths.presets() / "diverges.toml"))
    parent = trained(qtbot, window)
    with Store.open_readonly() as store:
        last = store.run(parent).steps
        assert store.run(parent).status == "diverged"
    window.show_stored(parent)

    def forks() -> list[QPushButton]:
        return [
            button
            for button in window.diagnosis_panel.findChildren(QPushButton)
            if button.text() == "…as a fork" and button.isVisible()
        ]

    qtbot.waitUntil(lambda: bool(forks()) and window.timeline.step == last, timeout=WAIT)
    forks()[0].click()
    qtbot.waitUntil(lambda: window.controls.start_button.text() == "Start fork", timeout=WAIT)
    try:
        changed = window.experiment_panel.experiment()
    except OptLabError as error:
        pytest.fail(str(error))
    given = Experiment.load(paths.presets() / "diverges.toml")
    assert changed.optimizer.lr < given.optimizer.lr or changed.clipping.name == "norm"
    assert window.timeline.step == last
