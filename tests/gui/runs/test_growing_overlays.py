"""Runs in progress that lie over the plots: what is read of them is shown, however fast they grow."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from optlab.gui.plots.plot_link import PlotLink
from optlab.gui.runs.overlay_task import OverlayData, OverlayTask
from optlab.gui.runs.overlays import OverlayController
from optlab.gui.runs.shown_runs import ShownRuns
from optlab.tasks.run_table import RunTable

from .test_runs_panel import row, table


def grown(steps: int) -> RunTable:
    found = row(1)
    record = dataclasses.replace(found.record, steps=steps)
    return table([dataclasses.replace(found, record=record)])


def test_that_a_run_that_grows_while_it_is_read_does_not_begin_the_reading_anew(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = ShownRuns()
    owner = QWidget()
    qtbot.addWidget(owner)
    overlays = OverlayController(shown, PlotLink(owner), list, shown)
    asked: list[OverlayTask] = []
    reading = [False]
    monkeypatch.setattr(overlays.work, "ask", asked.append)
    monkeypatch.setattr(type(overlays.work), "active", property(lambda _bridge: reading[0]))

    def set_steps(steps: int) -> None:
        shown.set_table(grown(steps))
        overlays.set_table(grown(steps))

    set_steps(5)
    shown.set_visible(["r1"], True)
    reading[0] = True
    for steps in (6, 7, 8):
        set_steps(steps)
    assert [task.steps for task in asked] == [{"r1": 5}]
    overlays.work.answered.emit(OverlayData({}, {}))
    reading[0] = False
    overlays.work.finished.emit()
    assert [task.steps for task in asked] == [{"r1": 5}, {"r1": 8}], "it is read on once"
    overlays.work.finished.emit()
    assert len(asked) == 2
