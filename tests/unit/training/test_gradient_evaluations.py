"""The number of gradients that a run has evaluated, as a series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from optlab.experiment import Experiment
from optlab.objective.objective import Objective
from optlab.training.control import TakeSnapshot
from optlab.training.events import Event, SeriesBlock, SnapshotTaken
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
NAME = "gradient_evaluations"
BLUR = {"name": "blur", "sigma": 0.2, "length": 5, "stages": 2, "samples": 3}


def counted(events: list[Event], run: int = 0) -> list[float]:
    blocks = [event.series[NAME] for event in events if isinstance(event, SeriesBlock)]
    return np.concatenate([block.values[:, run] for block in blocks]).tolist()


def test_that_a_run_with_one_gradient_a_step_has_no_such_series(build: Build, play: Any) -> None:
    for event in play(build()):
        assert not isinstance(event, SeriesBlock) or NAME not in event.series


@pytest.mark.parametrize("rule", ["lbfgs", "bfgs", "conjugate_gradient", "coordinate_descent"])
def test_that_each_gradient_of_a_line_search_is_counted(
    build: Build, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    original = Objective.total_and_gradient

    def watched(self: Objective, *arguments: Any) -> Any:
        calls.append(1)
        return original(self, *arguments)

    monkeypatch.setattr(Objective, "total_and_gradient", watched)
    trainer = Trainer([build(optimizer={"name": rule})])
    so_far = []
    for _ in range(12):
        trainer.advance()
        so_far.append(len(calls))
    found = trainer.recorder.flush()[NAME]
    assert found.steps.tolist() == list(range(1, 13))
    assert found.values[:, 0].tolist() == so_far and so_far[-1] >= 12


def test_that_products_count_as_two_gradients(build: Build) -> None:
    rule = {"name": "newton", "damping": 1.0, "solver": "exact"}
    trainer = Trainer([build(optimizer=rule)])
    for _ in range(3):
        trainer.advance()
    # A gradient, and a matrix: one gradient of its graph and a product for every column.
    parameters = trainer.layout.total
    each = trainer.recorder.flush()[NAME].values[:, 0]
    assert np.diff(each, prepend=0.0).tolist() == [1 + 1 + 2 * parameters] * 3


def test_that_each_draw_of_a_blur_is_counted(build: Build, play: Any) -> None:
    found = counted(play(build(continuation=BLUR, budget={"steps": 20})))
    assert np.diff(found, prepend=0.0).tolist() == [3.0] * 10 + [1.0] * 10


def test_that_the_count_continues_from_a_snapshot(build: Build, play: Any) -> None:
    experiment = build(optimizer={"name": "lbfgs"}, budget={"steps": 20})
    events = play(experiment, at={8: [TakeSnapshot()]})
    (asked,) = [
        event.snapshot
        for event in events
        if isinstance(event, SnapshotTaken) and event.snapshot.reason == "asked"
    ]
    straight = counted(events)
    assert asked.memory["gradients.count"] == straight[7]
    assert counted(play(experiment, snapshots=[asked])) == straight[8:]


def test_that_runs_of_a_population_count_each_their_own(build: Build, same_alone: Any) -> None:
    experiments = [
        build(optimizer={"name": "lbfgs"}, budget={"steps": 30}),
        build(budget={"steps": 12}),
        build(continuation=BLUR),
        build(optimizer={"name": "conjugate_gradient"}, budget={"steps": 21}),
    ]
    events = same_alone(experiments, snapshot_at=9)
    plain = np.array(counted(events, 1))
    assert plain[:12].tolist() == list(range(1, 13)) and np.isnan(plain[12:]).all()


def test_that_a_count_that_single_precision_cannot_hold_is_exact(build: Build) -> None:
    experiment = build(precision="float32", optimizer={"name": "lbfgs"})
    first = Trainer([experiment])
    first.advance()
    snapshot = first.snapshot(0, 0.0, "asked")
    many = {**snapshot.memory, "gradients.count": 2.0**24 + 1.0}
    trainer = Trainer(
        [experiment],
        [type(snapshot)(snapshot.step, 0.0, snapshot.theta, snapshot.state, {}, many)],
    )
    trainer.advance()
    taken = trainer.recorder.flush()[NAME].values[0, 0] - (2.0**24 + 1.0)
    first.recorder.flush()
    first.advance()
    assert taken == first.recorder.flush()[NAME].values[0, 0] - snapshot.memory["gradients.count"]


@pytest.mark.parametrize(
    "rule",
    [
        {"name": "natural_gradient", "lr": 0.1, "solver": "products"},
        {"name": "hessian_diagonal", "solver": "products"},
        {"name": "saddle_free_newton", "solver": "products"},
    ],
    ids=lambda rule: rule["name"],
)
def test_that_products_for_other_runs_are_not_counted(
    build: Build, same_alone: Any, rule: dict[str, Any]
) -> None:
    """Runs whose systems take different numbers of products are solved together."""
    same_alone(
        [
            build(optimizer={**rule, "damping": damping}, budget={"steps": 12})
            for damping in (0.1, 5.0)
        ]
    )
