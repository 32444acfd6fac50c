"""A store in a folder of its own, and sessions made of events by hand: no trainer is needed to
store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from optlab.experiment import Experiment
from optlab.store import Store
from optlab.training.events import RunEnded, Series, SeriesBlock, SessionStarted, SnapshotTaken
from optlab.training.snapshot import Snapshot


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "store-home"


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with Store.open(home) as opened:
        yield opened


@pytest.fixture(scope="session")
def experiment() -> Experiment:
    return Experiment.from_dict(
        {"title": "Moons", "dataset": {"name": "moons"}, "model": {"name": "mlp"}}
    )


class EventSource:
    """Events of a session of R runs, with values that depend on step and run alone."""

    names = ("a[0]", "a[1]", "b[0]")

    def __init__(self, runs: int = 1) -> None:
        self.runs = runs

    def started(self, step: int = 0) -> SessionStarted:
        return SessionStarted(self.runs, 10, "cpu", "a CPU", 10_000, 10, 32, 32, step, self.names)

    def loss(self, steps: np.ndarray) -> np.ndarray:
        return np.sin(steps)[:, None] + 10.0 * np.arange(self.runs)

    def weights(self, steps: np.ndarray, count: int = 3) -> np.ndarray:
        return np.cos(steps)[:, None, None] + np.arange(self.runs)[:, None] + 0.1 * np.arange(count)

    def block(self, first: int, last: int, *, every: int = 10, count: int = 3) -> SeriesBlock:
        steps = np.arange(first, last + 1, dtype=np.int64)
        sparse = steps[steps % every == 0]
        series = {
            "batch_loss": Series(steps, self.loss(steps)),
            "gradient_norm": Series(steps, self.loss(steps) ** 2),
            "weights": Series(steps, self.weights(steps, count)),
        }
        if len(sparse):
            series["train_loss"] = Series(sparse, self.loss(sparse))
        return SeriesBlock(last, last * 0.001, series)

    def kept(self, step: int, reason: str = "checkpoint", run: int = 0) -> SnapshotTaken:
        return SnapshotTaken(run, self.snapshot(step, reason))

    def snapshot(self, step: int, reason: str = "checkpoint") -> Snapshot:
        theta = np.linspace(0, step, 10, dtype=np.float32)
        state = {"v": -theta, "count": np.array(step)}
        return Snapshot(
            step, step * 0.001, theta, state, {"optimizer.lr": 0.02}, {"best": float("inf")}, reason
        )

    def ended(self, step: int, status: str = "finished", run: int = 0) -> RunEnded:
        return RunEnded(
            run,
            status,
            step,
            step * 0.001,
            {"train_loss": 0.5, "train_error": None},
            "ab" * 32,
            "the budget is spent",
        )


@pytest.fixture(scope="session")
def source() -> Callable[[int], EventSource]:
    return EventSource


@pytest.fixture
def runs(home, store, experiment, source) -> list[str]:
    """Twenty finished runs with snapshots; the store is closed."""
    ids = []
    for _ in range(20):
        writer = store.begin([experiment], "thread")
        writer.record(source().started())
        writer.record(source().block(1, 40))
        writer.record(source().kept(40, "end"))
        writer.record(source().ended(40))
        writer.close()
        ids += writer.run_ids
    store.close()
    return ids
