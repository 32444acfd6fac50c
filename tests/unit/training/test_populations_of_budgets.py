"""Runs of one population with different budgets end at their own step, as alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from optlab.experiment import Experiment
from optlab.training.control import Stop
from optlab.training.events import Event, InstrumentImage, RunEnded, SessionStarted, WeightPath

Build = Callable[..., Experiment]
SameAlone = Callable[..., list[Event]]

BUDGETS = (200, 37, 90, 5, 1, 200)
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "evaluations": {"measures": {"evaluate_every": 7, "gradient_every": 21, "fresh": 30}},
    "batch normalization": {"model": {"name": "mlp", "hidden": [5], "batch_norm": True}},
    "early stopping": {
        "stopping": {"name": "early", "patience": 1},
        "optimizer": {"lr": 1.0},
        "measures": {"evaluate_every": 3},
    },
    "small gradient": {
        "stopping": {"name": "gradient_norm", "bound": 0.12},
        "measures": {"evaluate_every": 3},
    },
    "plateau": {"schedule": {"name": "plateau"}, "measures": {"evaluate_every": 4}},
    "averaging and delay": {
        "averaging": {"name": "exponential"},
        "delay": {"name": "random"},
    },
    "clipping": {"clipping": {"name": "norm", "threshold": 0.05}},
    "rule that evaluates the objective": {"optimizer": {"name": "lbfgs"}},
    "instruments": {
        "instruments": {
            "distance": {"every": 0},
            "spectrum": {"every": 0, "tolerance": 1e-12},
            "conditioning": {"every": 10},
        }
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_that_a_run_ends_at_its_own_budget_and_the_others_continue(
    build: Build, same_alone: SameAlone, kind: str
) -> None:
    changes = dict(KINDS[kind])
    experiments = [
        build(**changes, budget={"steps": steps}, seed=number + 1)
        for number, steps in enumerate(BUDGETS)
    ]
    together = same_alone(experiments, snapshot_at=30)
    (started,) = [event for event in together if isinstance(event, SessionStarted)]
    assert started.steps == 200
    ends = [event.steps for event in together if isinstance(event, RunEnded)]
    assert ends == sorted(ends), "a run ends when it is over, not with the last one"


def test_that_runs_with_different_data_end_at_their_own_budgets(
    build: Build, same_alone: SameAlone
) -> None:
    same_alone(
        [
            build(budget={"steps": steps}, dataset={"seed": seed}, measures={"fresh": 30})
            for steps in (200, 60)
            for seed in (0, 5)
        ],
        snapshot_at=45,
    )


def test_that_a_run_that_diverges_reports_nothing_of_its_last_step_but_the_step(
    build: Build, same_alone: SameAlone
) -> None:
    """The others are evaluated, and their instruments read, at the step at which one diverges."""
    measured: Any = {
        "dataset": {"name": "least_squares", "size": 60},
        "model": {"name": "linear"},
        "measures": {"evaluate_every": 1},
        "instruments": {"distance": {"every": 1}},
    }
    together = same_alone(
        [
            build(**measured, optimizer={"name": "sgd", "lr": rate}, budget={"steps": steps})
            for rate, steps in ((1e150, 40), (1e-3, 20), (2e-3, 60))
        ]
    )
    ends = {event.run: event for event in together if isinstance(event, RunEnded)}
    assert [ends[run].status for run in range(3)] == ["diverged", "finished", "finished"]


def test_that_stopping_ends_the_runs_that_continue(build: Build, play: Any, ended: Any) -> None:
    experiments = [build(budget={"steps": steps}) for steps in (10, 50)]
    events = play(experiments, at={25: [Stop()]})
    assert (ended(events, 0).status, ended(events, 0).steps) == ("finished", 10)
    assert (ended(events, 1).status, ended(events, 1).steps) == ("stopped", 25)
    assert ended(events, 0).reason == "the budget of 10 steps is spent"


def test_that_a_run_alone_has_a_path_to_its_end_and_several_have_none(
    build: Build, play: Any
) -> None:
    paths = [
        [event for event in play(experiments) if isinstance(event, WeightPath)]
        for experiments in (
            [build(budget={"steps": 50})],
            [build(budget={"steps": steps}) for steps in (10, 50)],
        )
    ]
    assert paths[0][-1].steps[-1] == 50 and not paths[1]


def test_that_pictures_at_the_end_of_a_run_are_its_own(build: Build, play: Any) -> None:
    drawn: Any = {"instruments": {"margins": {"every": 0}}}
    events = play([build(**drawn, budget={"steps": steps}) for steps in (10, 50)])
    images = [event for event in events if isinstance(event, InstrumentImage)]
    assert [(image.run, image.step) for image in images] == [(0, 10), (1, 50)]
