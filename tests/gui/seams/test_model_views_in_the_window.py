"""Tiles of the model in the real window: live, at the step of the timeline, and of stored runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow
from optlab.gui.plots.examples_plot import ConfusionPlot
from optlab.gui.plots.region_plot import RegionPlot
from optlab.gui.plots.tiles import tile_key
from optlab.history.plan import plan
from optlab.history.recomputation import Progress, reach
from optlab.store import Store
from optlab.tasks.model_point import model_point
from optlab.tasks.model_view import ViewsAtStepTask

from .conftest import WAIT, train


def test_that_tiles_follow_the_run_and_the_handle_of_the_timeline(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(
        dataset={"name": "moons", "size": 60, "validation": 0.2},
        model={"name": "mlp", "hidden": [4]},
        budget={"steps": 200},
    )
    for kind in (RegionPlot, ConfusionPlot):
        window.plots.board.open(tile_key(kind))
    region, matrix = window.plots.plot(RegionPlot), window.plots.plot(ConfusionPlot)

    # Live, up to the last step.
    first = train(qtbot, window)
    qtbot.waitUntil(lambda: matrix.result_step == region.result_step == 200, timeout=WAIT)
    assert matrix.result.confusion.sum() == matrix.result.examples == 12

    # At the step of the handle, from the stored run.
    window.timeline.look_at(37)
    qtbot.waitUntil(lambda: region.result_step == matrix.result_step == 37, timeout=WAIT)
    with Store.open_readonly() as store:
        kept = reach(store, first.id, 37)
    again = model_point(Experiment.from_toml(first.experiment), kept.snapshot.theta, 37)
    np.testing.assert_array_equal(
        region.result.probabilities, region.view.compute(again).probabilities
    )
    window.timeline.now_button.click()
    qtbot.waitUntil(lambda: region.result_step == 200, timeout=WAIT)

    # A step that takes long to reach: the tile says how long, and the wait can be cancelled.
    window.timeline.look_at(38)
    qtbot.waitUntil(lambda: region.result_step == 38, timeout=WAIT)
    work = window.model_views.work
    with Store.open_readonly() as store:
        work.answered.emit(dataclasses.replace(plan(store, first.id, 90), cost=7.0))
    assert "about 7 s" in region.wait.text() and region.result_step == 38
    work.answered.emit(Progress(60, 0.5))
    assert "Computed again up to step 60: 50%" in matrix.wait.text()
    region.cancel_button.click()
    assert "Cancelled" in region.message.text() and not matrix.wait.text()

    # Another run with other data: the tile says what it needs, and a stale answer shows nothing.
    window.experiment_panel.set_experiment(
        Experiment.from_dict(
            {"dataset": {"name": "iris"}, "model": {"name": "linear"}, "budget": {"steps": 3}}
        )
    )
    second = train(qtbot, window)
    qtbot.waitUntil(lambda: "two inputs" in region.message.text(), timeout=WAIT)
    assert region.result is None and matrix.result_step == 3

    # A stored run, at its last step; what belongs to another run is dropped.
    window.show_stored(first.id)
    qtbot.waitUntil(lambda: region.result_step == matrix.result_step == 200, timeout=WAIT)
    *_, stale = ViewsAtStepTask(second.id, 3, views=(matrix.view,)).run(_Silent())
    before = matrix.result
    window.model_views.work.answered.emit(stale)
    assert matrix.result is before and matrix.result_step == 200


class _Silent:
    def receive(self, step: int) -> list[object]:
        return []

    def wait(self, seconds: float) -> None:
        return None

    def quiet_until(self, step: int) -> float:
        return step
