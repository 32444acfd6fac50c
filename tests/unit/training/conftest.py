"""Whether a run in a population is the same run as alone: everything that a session reports."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from optlab.experiment import Experiment
from optlab.training.control import TakeSnapshot
from optlab.training.events import SECONDS, Event, RunEnded, SeriesBlock, SnapshotTaken, StepWarning
from optlab.training.snapshot import Snapshot

Play = Callable[..., list[Event]]

OF_OTHERS = {
    "clipped_share",
    "gradient_evaluations",
    "penalty",
    "averaged_train_loss",
    "averaged_validation_loss",
} | {
    "averaged_train_error",
    "averaged_validation_error",
    "point_train_loss",
    "point_validation_loss",
    "point_validation_error",
}
"""Series that a run of a population may have because another one needs them."""


@dataclass
class Reported:
    """What a session reported of one run."""

    series: dict[str, tuple[list[int], list[NDArray[Any]]]] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    pretraining: str = ""
    end: RunEnded | None = None


def reported(events: Sequence[Event], run: int) -> Reported:
    found = Reported()
    for event in events:
        match event:
            case SeriesBlock(series=series):
                for name, one in series.items():
                    steps, values = found.series.setdefault(name, ([], []))
                    for step, value in zip(one.steps, one.values[:, run], strict=True):
                        if not np.isnan(value).all():
                            steps.append(int(step))
                            values.append(value)
            case SnapshotTaken(run=its, snapshot=snapshot) if its == run:
                if snapshot.reason != "checkpoint":
                    found.snapshots[snapshot.reason] = snapshot
            case StepWarning(run=its, step=0, words=words) if its == run:
                # How long pretraining took is not part of what it does.
                found.pretraining += re.sub(r" took [\d.]+ s", "", words)
            case RunEnded(run=its) if its == run:
                found.end = event
    return found


def assert_same_run(mine: Reported, alone: Reported, rtol: float = 1e-10) -> None:
    assert mine.end is not None and alone.end is not None
    for what in ("status", "steps", "reason", "non_finite_tensor", "confusion"):
        assert getattr(mine.end, what) == getattr(alone.end, what), what
    assert set(alone.series) <= set(mine.series)
    more = {name for name in set(mine.series) - set(alone.series) if mine.series[name][0]}
    assert more <= OF_OTHERS, more
    for name, (steps, values) in alone.series.items():
        assert mine.series[name][0] == steps, name
        if name != SECONDS:
            close(mine.series[name][1], values, rtol, name)
    assert list(alone.snapshots) == list(mine.snapshots)
    for reason, snapshot in alone.snapshots.items():
        assert_same_state(mine.snapshots[reason], snapshot, rtol)
    assert mine.pretraining == alone.pretraining
    finals = dict(mine.end.final)
    for name, value in alone.end.final.items():
        other = finals.pop(name)
        assert (value is None) == (other is None), name
        if value is not None:
            close(other, value, rtol, name)
    assert set(finals) <= OF_OTHERS


def assert_same_state(mine: Snapshot, alone: Snapshot, rtol: float) -> None:
    assert (mine.step, mine.reason, mine.values) == (alone.step, alone.reason, alone.values)
    close(mine.theta, alone.theta, rtol, "theta")
    assert set(mine.state) == set(alone.state)
    for name, value in alone.state.items():
        close(mine.state[name], value, rtol, name)
    assert set(alone.memory) <= set(mine.memory) and (
        set(mine.memory) - set(alone.memory) <= {"clipped.sum", "gradients.count"}
    )
    for key, number in alone.memory.items():
        close(mine.memory[key], number, rtol, key)


def close(mine: Any, alone: Any, rtol: float, name: str) -> None:
    np.testing.assert_allclose(mine, alone, rtol=rtol, atol=1e-12, err_msg=name)


@pytest.fixture
def same_alone(play: Play) -> Callable[..., list[Event]]:
    """Train a population, and each run of it alone; everything must agree, resuming included."""

    def check(experiments: Sequence[Experiment], snapshot_at: int = 0) -> list[Event]:
        asked = {snapshot_at: [TakeSnapshot()]} if snapshot_at else {}
        together = play(experiments, at=dict(asked))
        for run, experiment in enumerate(experiments):
            mine = reported(together, run)
            alone = reported(play(experiment, at=dict(asked)), 0)
            assert_same_run(mine, alone)
            if "asked" in mine.snapshots and mine.snapshots["asked"].step == snapshot_at:
                resumed = reported(play(experiment, snapshots=[mine.snapshots["asked"]]), 0)
                assert resumed.end is not None and alone.end is not None
                assert resumed.end.steps == alone.end.steps
                kept = list(alone.snapshots)[-1]
                close(resumed.snapshots[kept].theta, alone.snapshots[kept].theta, 1e-10, "resumed")
        return together

    return check
