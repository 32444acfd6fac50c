"""The window, driven as a person would: pick, edit, start, watch, change, pause, step, stop, close."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from optlab.core import paths
from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow
from optlab.gui.panels import diagnosis_panel
from optlab.gui.panels.catalogue_dialog import CatalogueDialog
from optlab.gui.panels.gallery_dialog import GalleryDialog
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.error_plot import ErrorPlot
from optlab.gui.plots.gradient_plot import GradientPlot
from optlab.gui.plots.loss_plot import LossPlot
from optlab.gui.plots.margin_plot import MarginPlot
from optlab.gui.plots.path_plot import PathPlot
from optlab.gui.plots.plot_frame import NOTHING_YET
from optlab.gui.plots.weights_plot import WeightsPlot
from optlab.store import Store
from optlab.studies.diagnosis.base import Finding, Remedy
from optlab.training import events
from optlab.training.control import Inbox
from optlab.training.session import session

LONG = 10_000_000
"""Steps of a run that does not end by itself within a test."""


@pytest.fixture(params=["thread", "process"])
def runner(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_window(qtbot: QtBot) -> Iterator[Callable[..., MainWindow]]:
    windows: list[MainWindow] = []

    def build(experiment: Experiment | None = None, runner: str = "thread") -> MainWindow:
        window = MainWindow(experiment, runner)  # type: ignore[arg-type]
        windows.append(window)
        qtbot.addWidget(window)
        window.show()
        qtbot.waitExposed(window)
        return window

    yield build
    for window in windows:
        window.close_without_asking()


def experiment(**changes: object) -> Experiment:
    tables: dict[str, object] = {
        "dataset": {"name": "iris"},
        "model": {"name": "mlp", "hidden": [8]},
        "optimizer": {"name": "momentum"},
        "budget": {"steps": 300},
    }
    return Experiment.from_dict({**tables, **changes})


def last_step(plot: CurvePlot, series: str) -> int | None:
    """Step of the newest value of a series' curve."""
    key = f"{series}:0"
    reading = plot.curve(key).samples.reading(1e18) if key in plot.keys else None
    return None if reading is None else int(reading.last)


def wait_idle(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=60_000)


def wait_steps(qtbot: QtBot, window: MainWindow, steps: int) -> None:
    reached: list[int] = []
    window.bridge.on(events.SeriesBlock, lambda block: reached.append(block.step))
    qtbot.waitUntil(lambda: bool(reached) and reached[-1] >= steps, timeout=60_000)


def answer(button_text: str, requested: list[str]) -> None:
    """Press a button of the next message box, once it is there."""

    def press() -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            QTimer.singleShot(20, press)
            return
        requested.append(box.text())
        next(button for button in box.buttons() if button_text in button.text()).click()

    QTimer.singleShot(20, press)


def test_that_a_run_draws_all_its_curves(
    qtbot: QtBot, open_window: Callable[..., MainWindow], runner: str
) -> None:
    window = open_window(experiment(), runner)
    seen: list[events.WeightPath] = []
    window.bridge.on(events.WeightPath, seen.append)
    window.controls.start_button.click()
    wait_idle(qtbot, window)
    plots = window.plots
    assert last_step(plots.plot(LossPlot), "batch_loss") == 300
    assert last_step(plots.plot(LossPlot), "validation_loss") == 300
    assert last_step(plots.plot(ErrorPlot), "validation_error") == 300
    assert last_step(plots.plot(GradientPlot), "gradient_norm") == 300
    assert last_step(plots.plot(GradientPlot), "full_gradient_norm") == 300
    assert seen[-1].steps[-1] == 300
    assert "Finished after 300 steps" in window.controls.message.text()
    assert "% of what it was at the start: the " in window.controls.message.text()
    assert "Test error" in window.controls.message.text()
    assert window.controls.state == "idle"
    assert window.controls.start_button.isEnabled()


def test_that_every_series_of_a_run_gets_a_curve(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(
        experiment(
            # Its best predictions are known, so that the risk has a minimum to be above.
            dataset={"name": "gaussian_mixture"},
            loss={"name": "cross_entropy", "l2": 0.01},
            clipping={"name": "norm", "threshold": 0.1},
            averaging={"name": "polyak"},
            measures={"fresh": 100},
            budget={"steps": 60},
        )
    )
    window.controls.start_button.click()
    wait_idle(qtbot, window)
    plots = window.plots
    for plot in (
        plots.plot(LossPlot),
        plots.plot(ErrorPlot),
        plots.plot(MarginPlot),
        plots.plot(GradientPlot),
    ):
        for name in plot.series:
            # Recorded only where a step can evaluate another number of gradients than one, or
            # evaluates it at another point than its parameters.
            absent = name == "gradient_evaluations" or name.startswith("point_")
            expected = None if absent else 60
            assert last_step(plot, name) == expected, name


def test_that_the_gradients_a_line_search_evaluates_get_a_curve(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(
        experiment(optimizer={"name": "lbfgs"}, batches={"size": 0}, budget={"steps": 6})
    )
    window.start()
    wait_idle(qtbot, window)
    assert last_step(window.plots.plot(GradientPlot), "gradient_evaluations") == 6


def test_that_the_file_saved_from_the_window_gives_the_same_parameters(
    qtbot: QtBot, open_window: Callable[..., MainWindow], runner: str, tmp_path: Path
) -> None:
    window = open_window(experiment(), runner)
    window.experiment_panel.components["optimizer"].form.editors["lr"].set_value(0.02)
    ended: list[events.RunEnded] = []
    window.bridge.on(events.RunEnded, ended.append)
    window.start()
    wait_idle(qtbot, window)
    window.files.write(tmp_path / "saved.toml")
    again = [
        e
        for e in session([Experiment.load(tmp_path / "saved.toml")], Inbox())
        if isinstance(e, events.RunEnded)
    ]
    assert again[0].theta_sha256 == ended[0].theta_sha256


def test_that_the_learning_rate_can_be_changed_while_it_runs(
    qtbot: QtBot, open_window: Callable[..., MainWindow], runner: str
) -> None:
    window = open_window(experiment(budget={"steps": LONG}), runner)
    window.start()
    wait_steps(qtbot, window, 50)
    applied: list[events.MessageApplied] = []
    rates: list[np.ndarray] = []
    window.bridge.on(events.MessageApplied, applied.append)
    # A block that ends with an evaluation only has no steps of its own.
    window.bridge.on(
        events.SeriesBlock,
        lambda block: rates.extend(
            s.values for name, s in block.series.items() if name == "learning_rate"
        ),
    )
    editor = window.experiment_panel.components["optimizer"].form.editors["lr"].editor()
    assert editor.isEnabled()
    editor.selectAll()
    qtbot.keyClicks(editor, "0.02")
    qtbot.waitUntil(lambda: bool(rates) and np.isclose(rates[-1][-1, 0], 0.02), timeout=20_000)
    assert applied and applied[-1].problem == ""
    window.controls.stop_button.click()
    wait_idle(qtbot, window)
    assert "Stopped after" in window.controls.message.text()
    with Store.open() as store:
        record = store.runs()[0]
        assert record.status == "stopped"
        assert any(
            getattr(message, "path", "") == "optimizer.lr"
            for _, message in store.controls(record.id)
        )


def test_that_pausing_holds_and_single_steps_are_single(
    qtbot: QtBot, open_window: Callable[..., MainWindow], runner: str
) -> None:
    window = open_window(experiment(budget={"steps": LONG}), runner)
    window.start()
    wait_steps(qtbot, window, 20)
    window.controls.pause_button.click()
    qtbot.waitUntil(lambda: window.controls.state == "paused", timeout=20_000)
    held = last_step(window.plots.plot(LossPlot), "batch_loss")
    for number in (1, 2, 3):
        window.controls.step_button.click()
        qtbot.waitUntil(
            lambda number=number: (
                last_step(window.plots.plot(LossPlot), "batch_loss") == held + number
            ),
            timeout=20_000,
        )
    assert window.controls.pause_button.text() == "Resume"
    window.controls.pause_button.click()
    qtbot.waitUntil(
        lambda: last_step(window.plots.plot(LossPlot), "batch_loss") > held + 20, timeout=20_000
    )
    window.controls.stop_button.click()
    wait_idle(qtbot, window)


def test_that_a_first_single_step_starts_a_run_that_holds(
    qtbot: QtBot, open_window: Callable[..., MainWindow], runner: str
) -> None:
    window = open_window(experiment(budget={"steps": LONG}), runner)
    window.controls.step_button.click()
    qtbot.waitUntil(lambda: window.controls.state == "paused", timeout=60_000)
    assert last_step(window.plots.plot(LossPlot), "batch_loss") == 1
    window.controls.stop_button.click()
    wait_idle(qtbot, window)


def test_that_closing_a_running_window_asks_once_and_saves(
    qtbot: QtBot, open_window: Callable[..., MainWindow], runner: str
) -> None:
    window = open_window(experiment(budget={"steps": LONG}), runner)
    window.start()
    wait_steps(qtbot, window, 20)
    requested: list[str] = []
    answer("Stop and close", requested)
    assert window.close()
    assert len(requested) == 1
    with Store.open() as store:
        record = store.runs()[0]
        assert record.status == "stopped"
        assert record.steps >= 20
        assert len(store.series(record.id)["batch_loss"].steps) == record.steps


def test_that_closing_can_be_taken_back(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(experiment(budget={"steps": LONG}))
    window.start()
    wait_steps(qtbot, window, 20)
    requested: list[str] = []
    answer("Cancel", requested)
    assert not window.close()
    assert window.bridge.active
    window.controls.stop_button.click()
    wait_idle(qtbot, window)


def test_that_a_diverging_run_says_what_broke_and_what_to_do(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    loss = {"name": "squared_error"}
    window = open_window(experiment(loss=loss, optimizer={"name": "sgd", "lr": 1e6}))
    window.start()
    wait_idle(qtbot, window)
    assert not window.banner.isHidden()
    assert "is not finite" in window.banner.message.text()
    assert "learning rate" in window.banner.message.text()


def test_that_a_bad_field_keeps_start_closed_and_says_why(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(experiment())
    editor = window.experiment_panel.components["optimizer"].form.editors["lr"]
    editor.editor().selectAll()
    qtbot.keyClicks(editor.editor(), "-1")
    assert not window.controls.start_button.isEnabled()
    assert "optimizer.lr" in editor.problem.text()
    assert "optimizer.lr" in window.controls.start_button.toolTip()
    editor.editor().selectAll()
    qtbot.keyClicks(editor.editor(), "0.1")
    assert window.controls.start_button.isEnabled()
    assert editor.problem.isHidden()


def test_that_the_data_are_previewed(qtbot: QtBot, open_window: Callable[..., MainWindow]) -> None:
    window = open_window(experiment())
    qtbot.waitUntil(
        lambda: "150 examples" in window.experiment_panel.preview.message.text(), timeout=60_000
    )
    window.experiment_panel.components["dataset"].set_values({"name": "moons", "size": 500})
    window.experiment_panel.request_preview()
    qtbot.waitUntil(
        lambda: "500 examples" in window.experiment_panel.preview.message.text(), timeout=60_000
    )


def test_that_a_wrong_file_is_refused_in_words_and_changes_nothing(
    qtbot: QtBot, open_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    window = open_window(experiment())
    before = window.experiment_panel.experiment()
    bad = tmp_path / "bad.toml"
    bad.write_text('[dataset]\nname = "digitz"\n[model]\nname = "mlp"\n')
    window.files.load(bad)
    assert "digitz" in window.banner.message.text()
    assert not window.banner.isHidden()
    assert window.experiment_panel.experiment() == before


def test_that_every_preset_can_be_shown_and_read_back(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(experiment())
    presets = sorted(paths.presets().glob("*.toml"))
    assert len(presets) >= 10
    for path in presets:
        window.files.load(path)
        assert window.banner.isHidden(), window.banner.message.text()
        assert window.experiment_panel.experiment() == Experiment.load(path)


def test_that_presets_are_found_in_the_menu(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(experiment())
    window.presets_menu.aboutToShow.emit()
    entries = [
        action for group in window.presets_menu.actions() for action in group.menu().actions()
    ]
    assert len(entries) == len(list(paths.presets().glob("*.toml")))
    assert all(action.toolTip() for action in entries)
    next(action for action in entries if action.text() == "Digits · MLP · momentum").trigger()
    assert window.experiment_panel.experiment() == Experiment.load(
        paths.presets() / "digits-mlp.toml"
    )


def test_that_a_component_of_the_catalogue_goes_into_the_experiment(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(experiment())
    window.secondary_windows.show_catalogue()
    dialog = window.findChild(CatalogueDialog)
    assert dialog is not None
    dialog.show_entry("optimizer", "lion")
    dialog.use_button.click()
    assert window.experiment_panel.experiment().optimizer.name == "lion"
    dialog.close()


def test_that_the_gallery_opens_and_starts_a_preset(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(experiment())

    def pick() -> None:
        gallery = window.findChild(GalleryDialog)
        assert gallery is not None
        gallery.choose("iris-softmax")
        gallery.start_button.click()

    QTimer.singleShot(0, pick)
    window.secondary_windows.show_gallery()
    assert window.experiment_panel.experiment().dataset.name == "iris"
    wait_steps(qtbot, window, 1)
    window.controls.stop_button.click()
    wait_idle(qtbot, window)


def test_that_the_diagnosis_shows_what_limits_a_run_and_its_remedy_is_applied(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    wild = experiment(
        dataset={"name": "diabetes"},
        model={"name": "linear"},
        loss={"name": "squared_error"},
        optimizer={"name": "sgd", "lr": 0.24},
        batches={"name": "never_shuffled", "size": 0},
        budget={"steps": LONG},
    )
    window = open_window(wild)
    assert not window.diagnosis_panel.isVisible()
    window.controls.start_button.click()
    qtbot.waitUntil(
        lambda: any(finding.name == "rising" for finding in window.diagnosis_panel.findings),
        timeout=60_000,
    )
    live = window.diagnosis_panel.findings[0].remedies[0]
    window.diagnosis_controller.apply(live)
    later = next(
        remedy
        for finding in window.diagnosis_panel.findings
        for remedy in finding.remedies
        if not remedy.live
    )
    window.diagnosis_controller.apply(later)
    assert "When this run has ended" in window.controls.message.text()
    window.controls.stop_button.click()
    wait_idle(qtbot, window)
    assert window.experiment_panel.experiment().clipping.name == "norm"


def test_that_a_run_that_does_well_gets_a_clean_diagnosis(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(experiment())
    window.controls.start_button.click()
    wait_idle(qtbot, window)
    assert window.diagnosis_panel.isVisible() and window.diagnosis_panel.findings == ()
    assert "no problem found" in window.diagnosis_panel.sentence.text()


def test_that_only_remedies_that_can_still_be_applied_are_offered(
    qtbot: QtBot, open_window: Callable[..., MainWindow], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Remedy("Stop now", stop=True)
    clip = Remedy("Clip the gradient", {"clipping.name": "norm"}, live=False)
    monkeypatch.setattr(
        diagnosis_panel,
        "diagnose",
        lambda history: [Finding("overfitting", "It overfits.", "Evidence.", 1.0, (stop, clip))],
    )
    window = open_window(experiment(budget={"steps": LONG}))

    def offered() -> list[str]:
        buttons = window.diagnosis_panel.findChildren(QPushButton)
        return [button.text() for button in buttons if button.isVisible()]

    window.controls.start_button.click()
    QApplication.processEvents()
    board = window.plots.geometry()
    window.diagnosis_controller.update()
    assert "nothing has been measured yet" in window.diagnosis_panel.sentence.text()
    qtbot.waitUntil(lambda: offered() == ["Stop now", "Clip the gradient"], timeout=60_000)
    assert window.plots.geometry() == board, "what was found has moved the plots"
    window.diagnosis_panel.findChildren(QPushButton)[0].click()
    wait_idle(qtbot, window)
    assert "Stopped after" in window.controls.message.text()
    qtbot.waitUntil(lambda: offered() == ["Clip the gradient", "…as a fork"], timeout=5_000)


def test_that_an_interrupted_run_is_offered_and_can_be_resumed(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    requested = experiment(budget={"steps": 200})
    with Store.open() as store:
        writer = store.begin([requested], "thread")
        for event in session([requested], Inbox()):
            if isinstance(event, events.RunEnded):
                break
            writer.record(event)
        writer.interrupt("the owner of this run was killed")
        writer.close()
    window = open_window(requested)
    qtbot.waitUntil(lambda: not window.banner.isHidden(), timeout=20_000)
    assert "was interrupted" in window.banner.message.text()
    # Few steps are left: the run may begin and end between two looks at it.
    with qtbot.waitSignal(window.bridge.sessionEnded, timeout=20_000):
        next(button for button in window.banner.buttons if button.text() == "Resume").click()
    wait_idle(qtbot, window)
    with Store.open() as store:
        record = store.runs()[0]
    assert (record.status, record.steps) == ("finished", 200)
    alone = [e for e in session([requested], Inbox()) if isinstance(e, events.RunEnded)]
    assert record.theta_sha256 == alone[0].theta_sha256


def test_that_a_stored_run_can_be_looked_at_again(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(experiment())
    window.start()
    wait_idle(qtbot, window)
    window.plots.clear()
    assert last_step(window.plots.plot(LossPlot), "batch_loss") is None
    runs = window.runs
    qtbot.waitUntil(lambda: runs.panel.model.count == 1, timeout=20_000)
    runs.panel.select_run(next(iter(runs.panel.model.table.rows)))
    runs.open_curves()
    qtbot.waitUntil(
        lambda: last_step(window.plots.plot(LossPlot), "batch_loss") == 300, timeout=20_000
    )
    assert last_step(window.plots.plot(LossPlot), "validation_loss") == 300


def test_that_the_plots_of_a_stored_and_a_resumed_run_show_what_is_stored_or_say_why_not(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(experiment(budget={"steps": LONG}, measures={"weights": 2}))
    window.start()
    wait_steps(qtbot, window, 40)
    window.controls.stop_button.click()
    wait_idle(qtbot, window)
    with Store.open() as store:
        record = store.runs()[0]
    weights, path = window.plots.plot(WeightsPlot), window.plots.plot(PathPlot)
    window.resize(1200, 900)

    drawn = path.pieces[-1].getData(), weights.largest.curve("0").samples.last
    assert drawn[1] == record.steps
    window.plots.clear()
    window.plots.refresh()
    assert path.pieces[-1].getData()[0] is None and not weights.largest.keys
    window.show_stored(record.id)
    qtbot.waitUntil(lambda: path.pieces[-1].getData()[0] is not None, timeout=5_000)
    np.testing.assert_array_equal(path.pieces[-1].getData(), drawn[0])
    assert weights.largest.curve("0").samples.last == drawn[1]

    (weight_paths,) = paths.home().rglob("weights.path")
    weight_paths.unlink()
    window.show_stored(record.id)
    qtbot.waitUntil(lambda: "Not stored" in path.message.text(), timeout=5_000)
    assert "Not stored" in weights.largest.empty_text
    assert weights.mode.currentText() == "Followed", "these weights are stored"
    assert [int(weights.followed.curve(key).samples.last) for key in ("0", "1")] == [
        record.steps,
        record.steps,
    ]

    window.resume(record.id)
    wait_steps(qtbot, window, record.steps + 20)
    assert f"resumed at step {record.steps:,}" in weights.largest.empty_text
    first = weights.followed.curve("0").samples.reading(0.0)
    assert first is not None and first.first <= 1, "the stored part is still drawn"
    window.controls.stop_button.click()
    wait_idle(qtbot, window)
    window.start()
    assert weights.largest.empty_text == NOTHING_YET
    wait_steps(qtbot, window, 1)
    window.controls.stop_button.click()
    wait_idle(qtbot, window)


def test_that_the_window_follows_the_theme(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    from optlab.gui import theme

    window = open_window(experiment())
    try:
        theme.choose("dark")
        assert window.plots.plot(LossPlot).colors == theme.DARK.plots
        theme.choose("light")
        assert window.plots.plot(LossPlot).colors == theme.LIGHT.plots
    finally:
        theme.choose("system")


def test_that_an_interrupt_ends_the_application_in_good_order(tmp_path: Path) -> None:
    home = tmp_path / "home"
    environment = {**os.environ, "OPTLAB_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    script = "import sys; from optlab.entry import main; sys.exit(main([]))"
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_for((home / "optlab.sqlite").exists)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0
    assert [line for line in errors.splitlines() if "propagateSizeHints" not in line] == []


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something outside this process has happened."""
    until = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < until, "it did not happen within a minute"
        time.sleep(0.05)
