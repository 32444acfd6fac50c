"""Early stopping in the engine: the restored parameters are those of the best evaluation, in every
way a run can be taken up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from optlab.experiment import Experiment
from optlab.training.control import Stop
from optlab.training.events import SeriesBlock, SnapshotTaken
from optlab.training.snapshot import theta_sha256

Build = Callable[..., Experiment]
EARLY = {"name": "early", "patience": 6}
NOISY = {"optimizer": {"name": "momentum", "lr": 0.2}, "budget": {"steps": 2000}}


def series(events: list[Any], name: str) -> dict[int, list[float]]:
    """Step → values, one a run."""
    return {
        int(step): values.tolist()
        for event in events
        if isinstance(event, SeriesBlock) and name in event.series
        for step, values in zip(event.series[name].steps, event.series[name].values, strict=True)
    }


def kept(events: list[Any], reason: str = "end", run: int = 0) -> Any:
    return next(
        event.snapshot
        for event in events
        if isinstance(event, SnapshotTaken) and event.snapshot.reason == reason and event.run == run
    )


@pytest.mark.parametrize(
    "strategies", [{}, {"averaging": {"name": "polyak"}, "delay": {"name": "fixed", "steps": 2}}]
)
@pytest.mark.parametrize("clipped", [False, True])
def test_that_the_parameters_of_the_best_evaluation_are_the_result(
    build: Build, play: Any, ended: Any, advanced: Any, strategies: dict[str, Any], clipped: bool
) -> None:
    experiment = build(
        stopping=EARLY,
        **NOISY,
        **strategies,
        **({"clipping": {"name": "norm", "threshold": 1.0}} if clipped else {}),
    )
    events = play(experiment)
    result = ended(events)
    errors = {
        step: values[0] for step, values in series(events, "validation_error").items() if step > 0
    }
    best = min(errors, key=lambda step: (errors[step], step))
    assert result.status == "finished" and result.steps == best + 6 * 5 == max(errors)
    assert result.final["validation_error"] == errors[best]
    there = advanced(experiment, best)
    assert result.theta_sha256 == theta_sha256(there.theta[0].numpy()) == kept(events).theta_sha256
    norm = advanced(experiment, result.steps).full_gradient_norm().item()
    start = advanced(experiment, 0).full_gradient_norm().item()
    assert (
        f"the norm of the gradient on the whole training set is {norm:.3g}, {norm / start:.2%} of "
        f"{start:.3g} at the start; the parameters of step {best} are restored" in result.reason
    )


def test_that_without_restoring_the_last_parameters_are_the_result(
    build: Build, play: Any, ended: Any, advanced: Any
) -> None:
    experiment = build(stopping={**EARLY, "restore_best": False}, **NOISY)
    events = play(experiment)
    result = ended(events)
    assert result.theta_sha256 == theta_sha256(advanced(experiment, result.steps).theta[0].numpy())
    assert result.theta_sha256 != ended(play(build(stopping=EARLY, **NOISY))).theta_sha256
    assert set(kept(events).state) == {"v"}, "nothing is kept that is not used"


@pytest.mark.parametrize("back", [1, 5, 8, 29, 33])
def test_that_a_run_resumed_before_its_stop_stops_as_if_it_had_not_been_stopped(
    build: Build, play: Any, ended: Any, back: int
) -> None:
    experiment = build(stopping=EARLY, **NOISY)
    straight = play(experiment)
    stop = ended(straight).steps - back
    snapshot = kept(play(experiment, at={stop: [Stop()]}))
    assert snapshot.step == stop and set(snapshot.state) == {"v", "best.theta"}
    resumed = play(experiment, snapshots=[snapshot])
    for of in ("steps", "reason", "theta_sha256", "final"):
        assert getattr(ended(resumed), of) == getattr(ended(straight), of)
    for name, values in kept(straight).state.items():
        np.testing.assert_array_equal(kept(resumed).state[name], values)


def test_that_runs_of_a_population_halt_and_are_restored_as_alone(
    build: Build, play: Any, ended: Any
) -> None:
    rules = [
        EARLY,
        {"name": "never"},
        {**EARLY, "patience": 3},
        {**EARLY, "restore_best": False},
        {**EARLY, "patience": 2},
    ]
    changes = {**NOISY, "budget": {"steps": 300}}
    members = [build(stopping=rule, seed=seed, **changes) for seed, rule in enumerate(rules)]
    together = play(members)
    for run, member in enumerate(members):
        alone = play(member)
        assert ended(together, run).steps == ended(alone).steps
        torch.testing.assert_close(
            torch.from_numpy(kept(together, run=run).theta),
            torch.from_numpy(kept(alone).theta),
            rtol=1e-10,
            atol=1e-12,
        )
    assert len({ended(together, run).steps for run in range(len(members))}) > 2


@pytest.mark.parametrize("deferred", [False, True])
def test_that_what_is_kept_as_best_survives_that_another_run_ends_and_the_run_itself_breaks(
    build: Build, advanced: Any, deferred: bool
) -> None:
    trainer = advanced(
        [build(stopping=EARLY, seed=1), build(stopping=EARLY, seed=2)], 10, deferred=deferred
    )
    best = trainer.theta.clone()
    trainer.keep_best(0)
    trainer.keep_best(1)
    trainer.end(1, "finished", "done")
    trainer.set_value("optimizer.lr", 1e308, run=0)
    for _ in range(4):
        trainer.advance()
    trainer.sync_divergence()
    assert trainer.endings[0].status == "diverged"
    for run in range(2):
        np.testing.assert_array_equal(
            trainer.snapshot(run, 0.0, "end").state["best.theta"], best[run].numpy()
        )
        trainer.restore_best(run)
    assert torch.equal(trainer.theta, best)


@pytest.mark.parametrize("deferred", [False, True])
def test_that_what_is_kept_as_best_goes_with_what_the_rule_remembers_even_if_the_next_loss_breaks(
    build: Build, advanced: Any, deferred: bool
) -> None:
    # A broken loss puts the state back by a step, to before the evaluation; the rule's memory of
    # that evaluation stays.
    trainer = advanced(build(stopping=EARLY), 10, deferred=deferred)
    trainer.theta = torch.full_like(trainer.theta, 1e308)
    trainer.keep_best(0)
    trainer.advance()
    trainer.sync_divergence()
    assert trainer.endings[0].status == "diverged"
    snapshot = trainer.snapshot(0, 0.0, "last_finite")
    assert snapshot.step == 9
    assert set(snapshot.state["best.theta"].tolist()) == {1e308}


def test_that_a_run_whose_budget_ends_first_keeps_its_last_parameters(
    build: Build, play: Any, ended: Any, advanced: Any
) -> None:
    experiment = build(stopping={**EARLY, "patience": 1000}, **{**NOISY, "budget": {"steps": 80}})
    assert ended(play(experiment)).theta_sha256 == theta_sha256(
        advanced(experiment, 80).theta[0].numpy()
    )


def test_that_a_run_ends_where_the_gradient_of_the_whole_objective_is_small(
    build: Build, play: Any, ended: Any
) -> None:
    experiment = build(
        model={"name": "linear"},
        loss={"name": "cross_entropy", "l2": 0.1},
        batches={"name": "shuffled", "size": 0},
        optimizer={"name": "sgd", "lr": 0.5},
        stopping={"name": "gradient_norm", "bound": 1e-4},
        budget={"steps": 3000},
    )
    result = ended(play(experiment))
    assert result.steps < 3000
    assert 0.5e-4 < result.final["gradient_norm"] <= 1e-4


def test_that_methods_whose_steps_cost_different_amounts_get_as_many_gradients(
    build: Build, play: Any, ended: Any
) -> None:
    common = {
        "stopping": {"name": "evaluations", "gradients": 40},
        "measures": {"evaluate_every": 1},
        "budget": {"steps": 500},
    }
    taken = {}
    for name in ("sgd", "sam", "lbfgs"):
        events = play(build(optimizer={"name": name}, **common))
        last = ended(events).steps
        counts = series(events, "gradient_evaluations") or {n: [float(n)] for n in range(last + 1)}
        assert (ended(events).status, "of 40" in ended(events).reason) == ("finished", True)
        before = [values[0] for step, values in counts.items() if step < last]
        assert max(before) < 40.0 <= counts[last][0]
        taken[name] = last
    assert (taken["sgd"], taken["sam"]) == (40, 20) and taken["lbfgs"] < 40


def test_that_each_run_of_a_population_stops_at_its_own_number_of_gradients(
    build: Build, play: Any, ended: Any
) -> None:
    members = [
        build(
            optimizer={"name": "sam"},
            stopping={"name": "evaluations", "gradients": gradients},
            measures={"evaluate_every": 1},
        )
        for gradients in (7, 16)
    ]
    events = play(members)
    assert [ended(events, run).steps for run in range(2)] == [4, 8]
