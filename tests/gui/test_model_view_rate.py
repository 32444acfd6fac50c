"""Beside a run, views of its model take a bounded share of the time."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui import model_views
from optlab.gui.model_views import LIVE_SHARE, ModelViewController
from optlab.gui.plots.examples_plot import WrongExamplesPlot
from optlab.gui.plots.region_plot import RegionPlot
from optlab.tasks.model_view import ModelViews, ViewsOfWeightsTask
from optlab.training.control import Inbox
from optlab.training.events import SnapshotTaken
from optlab.training.snapshot import Snapshot


class _Bridge(QObject):
    """A run in progress that is never stored."""

    active = True
    owner: QObject
    run_ids: tuple[str, ...] = ()

    def on(self, kind: type, handler: Any) -> None:
        self.__dict__[kind.__name__] = handler


class _Work(QObject):
    """Takes tasks, and answers none."""

    answered, failed = Signal(object), Signal(str)
    dataChanged = Signal(str, object)
    active = False

    def __init__(self, _pool: object, parent: QObject) -> None:
        super().__init__(parent)
        self.tasks: list[Any] = []

    def ask(self, task: Any) -> None:
        self.tasks.append(task)

    def give_up(self) -> None:
        pass


class _Timeline(QObject):
    stepChanged = Signal(object)


class _Panel(QObject):
    plotAdded = Signal(object)

    def of(self, _kind: type) -> list[object]:
        return []


class _Prewarmer:
    pool = None


def served(monkeypatch: pytest.MonkeyPatch) -> tuple[_Bridge, _Timeline, ModelViewController]:
    monkeypatch.setattr(model_views, "TaskBridge", _Work)
    bridge, owner = _Bridge(), QObject()
    timeline = _Timeline(owner)
    controller = ModelViewController(bridge, timeline, _Panel(owner), _Prewarmer(), owner)
    # The bridge keeps the owner, which owns the controller.
    bridge.owner = owner
    return bridge, timeline, controller


def test_that_live_views_leave_the_time_to_the_run(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge, timeline, controller = served(monkeypatch)
    tile = RegionPlot()
    qtbot.addWidget(tile)
    tile.show()
    controller.add(tile)
    controller.begin(
        Experiment.from_dict({"dataset": {"name": "moons"}, "model": {"name": "linear"}})
    )

    def snapshot(step: int) -> None:
        taken = SnapshotTaken(0, Snapshot(step, 0.0, np.zeros(6), {}))
        bridge.__dict__["SnapshotTaken"](taken)

    snapshot(1)
    qtbot.waitUntil(lambda: len(controller.work.tasks) == 1, timeout=5000)
    (task,) = controller.work.tasks
    assert isinstance(task, ViewsOfWeightsTask) and task.step == 1
    cost = 0.08
    began = time.monotonic()
    controller.work.answered.emit(ModelViews("", 1, {}, {}, cost))
    snapshot(2)
    snapshot(3)
    qtbot.waitUntil(lambda: len(controller.work.tasks) == 2, timeout=10_000)
    assert time.monotonic() - began >= 0.9 * cost * (1.0 / LIVE_SHARE - 1.0)
    assert controller.work.tasks[1].step == 3, "of several snapshots the newest"

    # It is not stored, so none of its earlier steps can be reached.
    timeline.stepChanged.emit(2)
    qtbot.waitUntil(lambda: "not stored" in tile.message.text(), timeout=5000)
    assert len(controller.work.tasks) == 2


def test_that_only_what_changed_is_computed_again(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge, _, controller = served(monkeypatch)
    region, examples = RegionPlot(), WrongExamplesPlot()
    for tile in (region, examples):
        qtbot.addWidget(tile)
        tile.show()
        controller.add(tile)
    experiment = Experiment.from_dict(
        {"dataset": {"name": "moons", "size": 40}, "model": {"name": "linear"}}
    )
    controller.begin(experiment)
    bridge.__dict__["SnapshotTaken"](SnapshotTaken(0, Snapshot(1, 0.0, np.zeros(6), {})))
    tasks = controller.work.tasks
    qtbot.waitUntil(lambda: len(tasks) == 1, timeout=5000)
    assert set(tasks[0].views) == {region.view, examples.view}
    answer = list(tasks[0].run(Inbox()))[-1]
    controller.work.answered.emit(answer)
    before = region.view
    assert region.result is answer.views[before]

    view = region.canvas.canvas.view
    view.setRange(xRange=(0.0, 0.5), yRange=(0.0, 0.5), padding=0.0)
    view.sigRangeChangedManually.emit([True, True])
    qtbot.waitUntil(lambda: len(tasks) == 2, timeout=5000)
    assert tasks[1].views == (region.view,) != (before,)
    assert region.result is answer.views[before], "the picture before it stays"
    controller.cancel()
    assert region.result is None and examples.result is not None

    # Other weights: all of it.
    bridge.__dict__["SnapshotTaken"](SnapshotTaken(0, Snapshot(2, 0.0, np.ones(6), {})))
    qtbot.waitUntil(lambda: len(tasks) == 3, timeout=10_000)
    assert set(tasks[2].views) == {region.view, examples.view}
