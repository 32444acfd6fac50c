"""The bridge delivers the events of a run to the handlers of their type."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from optlab.gui.bridge import RunBridge
from optlab.runners.pool import WorkerPool


@dataclass(frozen=True)
class Added:
    """An event type that the window has never heard of."""

    value: int


@dataclass(frozen=True)
class Special(Added):
    """A subtype, with handlers of its own."""


class FinishedJob:
    """A job that has ended and left events behind."""

    alive = False

    def __init__(self, *events: Any) -> None:
        self._events = list(events)

    def drain(self) -> list[Any]:
        waiting, self._events = self._events, []
        return waiting

    def join(self, timeout: float) -> bool:
        return True


def deliver(qtbot: QtBot, bridge: RunBridge, *events: Any) -> None:
    with qtbot.waitSignal(bridge.sessionEnded):
        bridge._begin(FinishedJob(*events))  # type: ignore[arg-type]


def test_that_a_new_event_type_needs_only_a_handler(qtbot: QtBot) -> None:
    bridge = RunBridge(WorkerPool())
    received: list[Any] = []
    bridge.on(Added, received.append)  # type: ignore[type-var]
    bridge.on(Special, lambda event: received.append(-event.value))  # type: ignore[type-var]
    bridge.frameBegan.connect(lambda: received.append("began"))
    bridge.frameEnded.connect(lambda: received.append("ended"))
    deliver(qtbot, bridge, Added(1), Special(2), "no handler", Added(3))
    assert received == ["began", Added(1), -2, Added(3), "ended"]


def test_that_a_handler_that_raises_does_not_stop_the_others(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    uncaught: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: uncaught.append(str(error)))

    def fail(event: Added) -> None:
        raise RuntimeError(f"handler of {event.value}")

    bridge = RunBridge(WorkerPool())
    received: list[Added] = []
    bridge.on(Added, fail)  # type: ignore[type-var]
    bridge.on(Added, received.append)  # type: ignore[type-var]
    deliver(qtbot, bridge, Added(1), Added(2))
    assert received == [Added(1), Added(2)]
    assert uncaught == ["handler of 1", "handler of 2"]
