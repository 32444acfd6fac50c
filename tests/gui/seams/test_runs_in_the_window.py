"""From a run that ends to a curve that lies over another: the runs panel in the real window."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow
from optlab.gui.plots.loss_plot import LossPlot
from optlab.gui.plots.region_plot import RegionPlot
from optlab.gui.plots.tiles import tile_key
from optlab.gui.runs import runs_controller
from optlab.gui.runs.run_drag import RUNS_TYPE
from optlab.gui.runs.runs_menu import RunsMenu
from optlab.store import Store
from optlab.store.labels import Labels
from optlab.training.events import ActivityChanged, Series, SeriesBlock

from .conftest import BASE, WAIT, stored, train


def end_of(plot: LossPlot, run: str) -> int | None:
    """Return the last step of a run that is laid over a plot."""
    key = f"train_loss@{run}"
    return plot.curve(key).samples.last if key in plot.keys else None


def test_that_runs_are_labeled_shown_and_deleted_from_the_panel_to_the_plots(
    qtbot: QtBot, open_window: Callable[..., MainWindow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_controller, "POLL_MILLISECONDS", 150)
    window = open_window(optimizer={"name": "sgd", "lr": 0.1})
    first = train(qtbot, window)
    window.experiment_panel.set_experiment(
        Experiment.from_dict({**BASE, "optimizer": {"name": "adam", "lr": 0.01}})
    )
    second = train(qtbot, window)
    runs, panel, plot = window.runs, window.runs.panel, window.plots.plot(LossPlot)
    menu = window.findChild(RunsMenu)
    assert menu is not None

    def in_panel(run: str, name: str) -> None:
        qtbot.waitUntil(
            lambda: panel.model.data(panel.model.index_of(f"run {run}")) == name, timeout=WAIT
        )

    # The end of a run is seen, and the run that the plots follow is shown in its usual colors.
    qtbot.waitUntil(lambda: second.id in panel.model.table.rows, timeout=WAIT)
    assert runs.shown.own == second.id and "train_loss:0" in plot.legend.keys()  # noqa: SIM118

    # The eye of the other one.
    index = panel.model.index_of(f"run {first.id}")
    eye = Qt.ItemDataRole.CheckStateRole
    with qtbot.waitSignal(runs.overlays.laid, timeout=WAIT):
        panel.model.setData(index, Qt.CheckState.Checked, eye)
    key = f"train_loss@{first.id}"
    with Store.open() as store:
        recorded = store.series(first.id)["train_loss"].values
    assert plot.curve(key).samples.samples(0, 99).values.tolist() == recorded.tolist()
    assert plot.curve(key).label == "Training, SGD 0.1"
    assert plot.curve("train_loss:0").label == "Training, Adam 0.01"
    colors = {one.id: one.color for one in stored()}
    assert plot.curve(key).color == colors[first.id] != colors[second.id]
    assert plot.curve("train_loss:0").color == colors[second.id]
    in_panel(first.id, "SGD 0.1")

    # Another name and color, from the menu to the legend.
    panel.select_run(first.id)
    panel.model.setData(index, "the slow one")
    menu.colors.actions()[6].trigger()
    in_panel(first.id, "the slow one")
    qtbot.waitUntil(lambda: plot.curve(key).color == 6, timeout=WAIT)
    assert plot.legend.entry(f"run {first.id}").text() == "the slow one"
    assert plot.curve("train_loss:0").label == "Training, Adam 0.01"

    # What another process stores appears by itself and grows; what it says of a run, too.
    with Store.open() as store:
        document = {**BASE, "title": "From elsewhere"}
        with closing(store.begin([Experiment.from_dict(document)], "thread")) as writer:
            (third,) = writer.run_ids
            store.label({second.id: Labels(name="renamed elsewhere")})
            in_panel(second.id, "renamed elsewhere")
            in_panel(third, "From elsewhere")
            runs.shown.set_visible([third], visible=True)
            for begin, last in ((1, 3), (4, 5)):
                steps = np.arange(begin, last + 1)
                block = {"train_loss": Series(steps, 0.5 * steps[:, None])}
                writer.record(SeriesBlock(last, 1.0, block))
                writer.record(ActivityChanged(last, "running"))
                qtbot.waitUntil(lambda last=last: end_of(plot, third) == last, timeout=WAIT)
    drawn = plot.curve(f"train_loss@{third}").samples.samples(0, 99)
    assert drawn.values.tolist() == [0.5, 1.0, 1.5, 2.0, 2.5]

    menu.of_runs["copy_command"].trigger()
    qtbot.waitUntil(lambda: "Copied" in panel.message.text(), timeout=WAIT)
    assert QGuiApplication.clipboard().text().startswith("optlab ")

    # Deleted, and back again.
    panel.select_run(first.id)
    menu.of_runs["delete"].trigger()
    qtbot.waitUntil(lambda: key not in plot.keys, timeout=WAIT)
    assert first.id not in {record.id for record in stored()}
    menu.undo.trigger()
    in_panel(first.id, "the slow one")

    # Dropped on a tile of curves its eye opens; on one that shows a model, that model is shown.
    runs.hide_all()
    board, index = window.plots.board, panel.model.index_of(f"run {first.id}")
    assert panel.model.mimeData([index, index]).data(RUNS_TYPE).data().decode() == first.id
    board.tile(tile_key(LossPlot)).runsDropped.emit([first.id])
    assert runs.shown.visible == (first.id,)
    board.open(tile_key(RegionPlot))
    board.tile(tile_key(RegionPlot)).runsDropped.emit([first.id])
    qtbot.waitUntil(lambda: runs.shown.own == first.id, timeout=WAIT)

    # Its small curve is read when its row is seen.
    rows = panel.model.table.rows
    qtbot.waitUntil(lambda: len(panel.sparklines.of(rows[first.id])) == 2, timeout=WAIT)
    assert recorded[0] > recorded[-1]
    assert panel.sparklines.of(rows[first.id]).tolist() == [[0.0, 1.0], [1.0, 0.0]]
