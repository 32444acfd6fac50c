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
from optlab.gui.plots.region_plot import RegionPlot
from optlab.tasks.model_view import ModelViews, ViewsOfWeightsTask
from optlab.training.events import SnapshotTaken
from optlab.training.snapshot import Snapshot


class _Bridge(QObject):
    """A run in progress that is never stored."""

    active = True
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


def test_that_live_views_leave_the_time_to_the_run(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_views, "TaskBridge", _Work)
    bridge, owner = _Bridge(), QObject()
    timeline = _Timeline(owner)
    controller = ModelViewController(bridge, timeline, _Panel(owner), _Prewarmer(), owner)
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
