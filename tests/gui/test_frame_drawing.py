"""A frame draws as many plots as it has room for, and the others come first in the next one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

from optlab.core.errors import OptLabError
from optlab.experiment import Experiment
from optlab.gui import frame_drawing
from optlab.gui.bridge import FRAME_MILLISECONDS, RunBridge
from optlab.gui.frame_drawing import ROOM_MILLISECONDS, FrameDrawing
from optlab.gui.main_window import MainWindow
from optlab.gui.plots.loss_plot import LossPlot
from optlab.runners.pool import WorkerPool


def experiment() -> Experiment:
    return Experiment.from_dict(
        {
            "dataset": {"name": "iris"},
            "model": {"name": "mlp", "hidden": [8]},
            "optimizer": {"name": "momentum"},
            "budget": {"steps": 100},
        }
    )


class Clock:
    """Stands for the module ``time``: it goes on only where something is drawn."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Frames(QObject):
    """Stands for the bridge."""

    frameBegan = Signal()
    frameEnded = Signal()
    sessionEnded = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def drew(self, seconds: float) -> None:
        self.seconds.append(seconds)


class Plot:
    """What a plot is here: it takes so many milliseconds where something is pending."""

    def __init__(self, name: str, clock: Clock, milliseconds: float, log: list[str]) -> None:
        self.name, self.pending = name, True
        self._clock, self._milliseconds, self._log = clock, milliseconds, log

    def refresh(self) -> bool:
        if self.pending:
            self._clock.now += self._milliseconds / 1000.0
            self._log.append(self.name)
        return self.pending


class Stage:
    """Plots, their frames, and what was drawn."""

    def __init__(self, qtbot: QtBot, clock: Clock, costs: str, milliseconds: float) -> None:
        self.clock, self.log = clock, []  # type: ignore[var-annotated]
        self.bridge = Frames()
        self.plots = [Plot(name, clock, milliseconds, self.log) for name in costs]
        self.drawing = FrameDrawing(self.bridge)  # type: ignore[arg-type]
        self.drawing.add(lambda: self.plots)
        self._qtbot = qtbot

    def frame(self) -> str:
        """Play a frame to its end, and return what was drawn."""
        before, reported = len(self.log), len(self.bridge.seconds)
        self.bridge.frameBegan.emit()
        self.bridge.frameEnded.emit()
        self._qtbot.waitUntil(lambda: len(self.bridge.seconds) > reported)
        return "".join(self.log[before:])


@pytest.fixture
def stage(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stage]:
    clock = Clock()
    monkeypatch.setattr(frame_drawing, "time", clock)
    return lambda names, milliseconds: Stage(qtbot, clock, names, milliseconds)


def test_that_what_a_frame_has_no_room_for_comes_first_in_the_next(
    stage: Callable[..., Stage],
) -> None:
    made = stage("abcde", 0.45 * ROOM_MILLISECONDS)
    assert [made.frame() for _ in range(5)] == ["abc", "dea", "bcd", "eab", "cde"]


def test_that_a_plot_that_takes_longer_than_a_frame_keeps_none_from_being_drawn(
    stage: Callable[..., Stage],
) -> None:
    made = stage("abc", 2.0 * FRAME_MILLISECONDS)
    assert [made.frame() for _ in range(4)] == ["a", "b", "c", "a"]


def test_that_a_plot_without_changes_takes_no_turn(stage: Callable[..., Stage]) -> None:
    made = stage("abcde", 0.45 * ROOM_MILLISECONDS)
    made.plots[0].pending = made.plots[2].pending = False
    assert made.frame() == "bde"
    made.plots[2].pending = True
    assert made.frame() == "bcd"


def test_that_the_time_before_the_drawing_counts(stage: Callable[..., Stage]) -> None:
    """The events of a frame take some of its room, and the rest of the window must not wait."""
    made = stage("abcd", 0.45 * ROOM_MILLISECONDS)
    made.bridge.frameBegan.emit()
    made.clock.now += 0.9 * ROOM_MILLISECONDS / 1000.0
    made.bridge.frameEnded.emit()
    made._qtbot.waitUntil(lambda: len(made.bridge.seconds) == 1)
    assert made.log == ["a"]
    assert made.bridge.seconds == [pytest.approx(0.45e-3 * ROOM_MILLISECONDS)]


def test_that_a_plot_that_is_gone_is_not_drawn(stage: Callable[..., Stage]) -> None:
    made = stage("abc", 1.0)
    gone = made.plots[1]
    refresh = made.plots[0].refresh
    made.plots[0].refresh = lambda: made.plots.remove(gone) or refresh()  # type: ignore[method-assign,func-returns-value]
    assert made.frame() == "ac"


def test_that_the_end_of_a_run_draws_everything(stage: Callable[..., Stage]) -> None:
    made = stage("abcde", 2.0 * FRAME_MILLISECONDS)
    made.bridge.frameBegan.emit()
    made.bridge.frameEnded.emit()
    made.bridge.sessionEnded.emit()
    assert made.log == list("abcde")


def test_that_the_share_of_a_frame_that_is_drawn_chooses_the_next_runner(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def train(*_: Any, draw_share: float, **__: Any) -> None:
        asked.append(draw_share)
        raise OptLabError("It is only asked.")

    monkeypatch.setattr("optlab.gui.bridge.train", train)
    bridge = RunBridge(WorkerPool())
    for milliseconds in (0.6 * FRAME_MILLISECONDS, 100.0 * FRAME_MILLISECONDS):
        for _ in range(200):
            bridge.drew(1e-3 * milliseconds)
        with qtbot.waitSignal(bridge.sessionEnded):
            bridge.start(experiment())
    assert asked == [pytest.approx(0.6, abs=1e-3), pytest.approx(1.0, abs=1e-3)]


def test_that_all_plots_are_up_to_date_at_the_end_of_a_run(
    qtbot: QtBot,
) -> None:
    window = MainWindow(experiment(), "thread")
    qtbot.addWidget(window)
    window.show()
    with qtbot.waitSignal(window.bridge.sessionEnded, timeout=60_000):
        window.start()
    assert any(plot.isVisible() for plot in window.plots.of(LossPlot))
    assert not any(plot.refresh() for plot in window.plots.plots), "something was not drawn"
    window.close_without_asking()
