"""Plots say which run they show, on the screen and in what is exported from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog, QWidget
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow
from optlab.gui.plots.loss_plot import LossPlot
from optlab.gui.plots.subject import file_name, set_subject, subject_of
from optlab.store import Store

TABLES = {
    "title": "The first",
    "dataset": {"name": "iris"},
    "model": {"name": "mlp", "hidden": [4]},
    "budget": {"steps": 10_000_000},
}


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[MainWindow]:
    window = MainWindow(Experiment.from_dict(TABLES), runner="thread")
    qtbot.addWidget(window)
    window.show()
    yield window
    window.close_without_asking()


def shown(window: MainWindow) -> tuple[str, str]:
    captions = (window.plots.caption,)
    (text,) = {(caption.name.text(), caption.state.text()) for caption in captions}
    return text


def test_that_the_captions_follow_the_run_that_is_shown(qtbot: QtBot, window: MainWindow) -> None:
    assert shown(window) == ("No run is shown", "")
    window.start()
    qtbot.waitUntil(lambda: shown(window) == ("The first", "live"), timeout=60_000)
    window.controls.stop_button.click()
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=60_000)
    assert shown(window) == ("The first", "stopped")
    with Store.open() as store:
        (first,) = store.runs()
    second = Experiment.from_dict({**TABLES, "title": "The second", "budget": {"steps": 5}})
    window.experiment_panel.set_experiment(second)
    window.start()
    qtbot.waitUntil(lambda: shown(window) == ("The second", "finished"), timeout=60_000)
    window.show_stored(first.id)
    qtbot.waitUntil(
        lambda: shown(window) == ("The first", f"stored run {first.id}, stopped"), timeout=60_000
    )
    with Store.open() as store:
        last = store.runs()[0]
    window.show_stored(last.id)
    qtbot.waitUntil(
        lambda: shown(window) == ("The second", f"stored run {last.id}, finished"), timeout=60_000
    )
    window.resume(first.id)
    qtbot.waitUntil(
        lambda: shown(window) == ("The first", f"live, resumed from step {first.steps:,}"),
        timeout=60_000,
    )
    window.controls.stop_button.click()
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=60_000)


def test_that_exported_files_are_named_after_the_run_and_images_show_its_name(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    experiment = Experiment.from_dict({**TABLES, "title": "A/B: τ=1", "budget": {"steps": 5}})
    window.experiment_panel.set_experiment(experiment)
    window.start()
    qtbot.waitUntil(lambda: shown(window)[1] == "finished", timeout=60_000)
    with Store.open() as store:
        run = store.runs()[0].id
    plot = window.plots.plot(LossPlot)
    assert subject_of(plot) == f"A/B: τ=1 {run}"
    offered: list[str] = []
    monkeypatch.setattr(
        QFileDialog,
        "getSaveFileName",
        lambda *arguments: (offered.append(arguments[2]), ("", ""))[1],
    )
    plot.csv_action.trigger()
    plot.image_action.trigger()
    assert [Path(name).suffix for name in offered] == [".csv", ".png"]
    assert all(name.startswith("A-B-τ-1-") and run[-4:] in name for name in offered)
    plain, named = tmp_path / "plain.png", tmp_path / "named.png"
    plot.export_image(str(named))
    set_subject(window.plots, "")
    plot.export_image(str(plain))
    assert QImage(str(named)).height() > QImage(str(plain)).height()


def test_that_the_nearest_window_that_names_its_subject_counts(qtbot: QtBot) -> None:
    outer = QWidget()
    qtbot.addWidget(outer)
    inner = QWidget(outer)
    leaf = QWidget(inner)
    assert subject_of(leaf) == ""
    set_subject(outer, "outer")
    assert subject_of(leaf) == "outer"
    set_subject(inner, "inner")
    assert subject_of(leaf) == "inner"
    assert file_name("../x y", "Loss", "csv") == "x-y-Loss.csv"
    assert file_name("", "", "png") == "plot.png"
