"""Copying and exporting the values of a plot: all of them, however long the run."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow
from optlab.gui.plots import curve, curve_plot
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.loss_plot import LossPlot
from optlab.gui.plots.pyramid import Pyramid
from optlab.gui.plots.value_export import CurveValues, all_values
from optlab.store import Store
from optlab.training.events import Series, SeriesBlock


def small_pyramid() -> Pyramid:
    return Pyramid(samples=256, buckets=64, head=16, batch=16)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let plots keep only 256 samples of a curve."""
    for module in (curve, curve_plot):
        monkeypatch.setattr(module, "Pyramid", small_pyramid)


@pytest.fixture
def shown(qtbot: QtBot) -> Callable[[CurvePlot], CurvePlot]:
    def show(plot: CurvePlot) -> CurvePlot:
        qtbot.addWidget(plot)
        plot.resize(480, 360)
        plot.show()
        qtbot.waitExposed(plot)
        plot.refresh()
        return plot

    return show


def long_curve(n: int) -> tuple[CurvePlot, np.ndarray]:
    values = np.random.default_rng(0).normal(size=n)
    plot = CurvePlot("Loss")
    plot.add_curve("a", "Curve a")
    plot.append("a", np.arange(1, n + 1), values)
    return plot, values


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def export(qtbot: QtBot, plot: CurvePlot, path: Path) -> None:
    """Export the values of a plot and wait until they are written."""
    with qtbot.waitSignal(plot.exported, timeout=20_000):
        plot.export_csv(str(path))


def all_in_view(plot: CurvePlot) -> list[CurveValues]:
    """Return what the plot would write."""
    return [all_values(curve) for curve in plot.values_in_view()]


def test_that_all_values_of_the_view_are_copied_and_exported(
    qtbot: QtBot, shown: Callable[[CurvePlot], CurvePlot], tmp_path: Path
) -> None:
    plot, values = long_curve(20_000)
    shown(plot)
    export(qtbot, plot, tmp_path / "plot.csv")
    written = rows(tmp_path / "plot.csv")
    assert [int(step) for _, step, _ in written] == list(range(1, 20_001))
    assert [float(value) for _, _, value in written] == values.tolist()
    with qtbot.waitSignal(plot.copied, timeout=20_000):
        plot.copy_values()
    assert len(QApplication.clipboard().text().splitlines()) == 20_001


def test_that_only_steps_in_the_view_are_exported(
    shown: Callable[[CurvePlot], CurvePlot],
) -> None:
    plot, values = long_curve(20_000)
    shown(plot)
    plot.canvas.view.setRange(xRange=(99.5, 5000.5), padding=0.0)
    ((_, steps, exported),) = all_in_view(plot)
    assert steps.tolist() == list(range(100, 5001))
    assert exported.tolist() == values[99:5000].tolist()


@pytest.mark.usefixtures("small")
def test_that_a_thinned_curve_is_not_exported_as_if_it_were_complete(
    qtbot: QtBot, shown: Callable[[CurvePlot], CurvePlot], tmp_path: Path
) -> None:
    plot, values = long_curve(3000)
    shown(plot)
    path = tmp_path / "plot.csv"
    with qtbot.waitSignal(plot.exportFailed) as failed:
        plot.export_csv(str(path))
    assert "Curve a" in failed.args[0] and not path.exists()
    (box,) = plot.findChildren(QMessageBox)
    assert box.text() == failed.args[0]
    box.close()
    # What is near the ends is complete.
    for first, last in ((1.0, 10.0), (2900.0, 3000.0)):
        plot.canvas.view.setRange(xRange=(first, last), padding=0.0)
        ((_, _steps, exported),) = all_in_view(plot)
        assert exported.tolist() == values[int(first) - 1 : int(last)].tolist()


@pytest.mark.usefixtures("small")
def test_that_dropped_values_come_from_the_source(
    shown: Callable[[CurvePlot], CurvePlot],
) -> None:
    plot = LossPlot()
    steps, values = np.arange(1, 3001), np.random.default_rng(1).uniform(1.0, 2.0, (3000, 2))
    plot.add(SeriesBlock(3000, 1.0, {"batch_loss": Series(steps, values)}))
    shown(plot)
    # The source lags behind the plot, as a store does.
    plot.set_value_source(
        lambda name, row: (steps[:2900], values[:2900, row]) if name == "batch_loss" else None
    )
    exported = all_in_view(plot)
    for row in (0, 1):
        assert exported[row].steps.tolist() == steps.tolist()
        assert exported[row].values.tolist() == values[:, row].tolist()


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[MainWindow]:
    tables = {
        "dataset": {"name": "iris"},
        "model": {"name": "mlp", "hidden": [4]},
        "optimizer": {"name": "sgd"},
        "budget": {"steps": 2000},
    }
    window = MainWindow(Experiment.from_dict(tables), runner="thread")
    qtbot.addWidget(window)
    window.show()
    yield window
    window.close_without_asking()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("stored", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_that_the_window_exports_all_values_of_a_run(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, stored: bool
) -> None:
    window.controls.start_button.click()
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=60_000)
    with Store.open() as store:
        (record,) = store.runs()
        loss = store.series(record.id, ["batch_loss"])["batch_loss"]
    if stored:
        window.show_stored(record.id)
        qtbot.waitUntil(lambda: "Showing" in window.controls.message.text(), timeout=20_000)
    (plot,) = window.plots.findChildren(LossPlot)
    plot.refresh()
    export(qtbot, plot, tmp_path / "plot.csv")
    written = [row for row in rows(tmp_path / "plot.csv") if row[0] == "Batch"]
    assert [int(step) for _, step, _ in written] == loss.steps.tolist() == list(range(1, 2001))
    assert [float(value) for _, _, value in written] == loss.values.tolist()
