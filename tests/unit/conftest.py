"""Small experiments for tests that train: float64, seconds of training at most."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from optlab.experiment import Experiment
from optlab.training.control import Message
from optlab.training.events import Event, RunEnded
from optlab.training.session import session
from optlab.training.snapshot import Snapshot
from optlab.training.trainer import Trainer
from tests.slow_compiler import SlowCompiler

BASE: Mapping[str, Any] = {
    "seed": 1,
    "device": "cpu",
    "precision": "float64",
    "dataset": {"name": "moons", "size": 120},
    "model": {"name": "mlp", "hidden": [5], "activation": "tanh"},
    "optimizer": {"name": "momentum", "lr": 0.05},
    "batches": {"name": "shuffled", "size": 16},
    "budget": {"steps": 60},
    "measures": {"weights": 8},
}


def build(**changes: Any) -> Experiment:
    """The base experiment with sections replaced (those with a name) or fields changed (those
    without).
    """
    tables: dict[str, Any] = {
        key: dict(value) if isinstance(value, dict) else value for key, value in BASE.items()
    }
    for key, value in changes.items():
        if isinstance(value, dict) and "name" not in value:
            tables[key] = {**tables.get(key, {}), **value}
        else:
            tables[key] = value
    return Experiment.from_dict(tables)


class Script:
    """Controls for a test: messages at their steps, and the next of ``idle`` whenever the session
    waits.
    """

    def __init__(
        self, at: Mapping[int, Iterable[Message]] | None = None, idle: Iterable[Message] = ()
    ) -> None:
        self._at = {step: list(messages) for step, messages in (at or {}).items()}
        self._idle = deque(idle)
        self._next: list[Message] = []

    def receive(self, step: int) -> list[Message]:
        found, self._next = self._next + self._at.pop(step, []), []
        return found

    def wait(self, seconds: float) -> None:
        assert self._idle, "the session holds, and the test has nothing more to say"
        self._next = [self._idle.popleft()]

    def quiet_until(self, step: int) -> float:
        return min(self._at, default=math.inf)


def play(
    experiments: Experiment | Sequence[Experiment],
    at: Mapping[int, Iterable[Message]] | None = None,
    idle: Iterable[Message] = (),
    snapshots: Sequence[Snapshot] | None = None,
) -> list[Event]:
    """All events of a session."""
    members = [experiments] if isinstance(experiments, Experiment) else list(experiments)
    return list(session(members, Script(at, idle), snapshots))


def ended(events: Iterable[Event], run: int = 0) -> RunEnded:
    """How a run ended."""
    (found,) = [event for event in events if isinstance(event, RunEnded) and event.run == run]
    return found


def advanced(experiments: Experiment | Sequence[Experiment], steps: int, **kwargs: Any) -> Trainer:
    """A trainer after some steps."""
    trainer = Trainer(
        [experiments] if isinstance(experiments, Experiment) else list(experiments), **kwargs
    )
    for _ in range(steps):
        trainer.advance()
    trainer.sync_divergence()
    return trainer


@pytest.fixture(name="build")
def _build() -> Callable[..., Experiment]:
    return build


@pytest.fixture(name="play")
def _play() -> Callable[..., list[Event]]:
    return play


@pytest.fixture(name="ended")
def _ended() -> Callable[..., RunEnded]:
    return ended


@pytest.fixture(name="advanced")
def _advanced() -> Callable[..., Trainer]:
    return advanced


@pytest.fixture(name="script")
def _script() -> type[Script]:
    return Script


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlowCompiler:
    """A compiler that waits until the test lets it go on."""
    made = SlowCompiler(tmp_path)
    monkeypatch.setenv("CXX", made.command)
    return made
