"""The norm of the full gradient: its value against plain torch, when it is recorded, and what the
gradient-norm test makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from optlab.experiment import Experiment
from optlab.numerics.gradient_test import gradient_test
from optlab.training import full_gradient
from optlab.training.control import Stop
from optlab.training.events import SeriesBlock, SnapshotTaken
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
REGRESSION = {
    "dataset": {"name": "least_squares", "size": 200, "noise": 1.0, "condition": 5.0},
    "model": {"name": "linear"},
    "loss": {"name": "squared_error"},
    "optimizer": {"name": "sgd", "lr": 0.02},
}


def recorded(events: list[Any], run: int = 0) -> dict[int, float]:
    """Step → full gradient norm, as the session reports it."""
    result: dict[int, float] = {}
    for event in events:
        if isinstance(event, SeriesBlock) and "full_gradient_norm" in event.series:
            series = event.series["full_gradient_norm"]
            assert not set(series.steps.tolist()) & set(result), "one step is recorded twice"
            result |= dict(zip(series.steps.tolist(), series.values[:, run].tolist(), strict=True))
    return {step: value for step, value in result.items() if not math.isnan(value)}


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["mlp", "linear regression"])
def test_that_it_is_the_norm_of_the_gradient_by_plain_torch(
    build: Build, kind: str, l2: float
) -> None:
    if kind == "mlp":
        experiment = build(loss={"name": "cross_entropy", "l2": l2})
    else:
        experiment = build(**{**REGRESSION, "loss": {"name": "squared_error", "l2": l2}})
    trainer = Trainer([experiment])
    for _ in range(7):
        trainer.advance()
    training = experiment.dataset.load().training
    x, y = torch.from_numpy(training.x), torch.from_numpy(training.y)
    parts = [part[0].clone().requires_grad_() for part in trainer.layout.split(trainer.theta)]
    if kind == "mlp":
        w0, b0, w1, b1 = parts
        loss, weights = (
            torch.nn.functional.cross_entropy(torch.tanh(x @ w0.T + b0) @ w1.T + b1, y),
            [w0, w1],
        )
    else:
        w, b = parts
        loss, weights = (x @ w.T + b - y).square().sum(dim=1).mean(), [w]
    objective = loss + 0.5 * l2 * sum(weight.square().sum() for weight in weights)
    gradient = torch.cat([part.flatten() for part in torch.autograd.grad(objective, parts)])
    assert trainer.theta.dtype == torch.float64
    assert trainer.evaluate(gradient=True)["full_gradient_norm"].item() == pytest.approx(
        gradient.norm().item(), rel=1e-12
    )
    assert "full_gradient_norm" not in trainer.evaluate()


def test_that_it_is_recorded_at_the_start_at_its_multiples_and_at_the_end(
    build: Build, play: Any, ended: Any, advanced: Any
) -> None:
    experiment = build(measures={"evaluate_every": 6, "gradient_every": 10}, budget={"steps": 32})
    events = play(experiment)
    norms = recorded(events)
    # The first evaluations at or after steps 10, 20 and 30.
    assert list(norms) == [0, 12, 24, 30, 32]
    for step, norm in norms.items():
        assert norm == pytest.approx(
            advanced(experiment, step).full_gradient_norm().item(), rel=1e-13
        )
    final = ended(events).final
    assert final["gradient_norm"] == norms[32] and final["gradient_norm_at_start"] == norms[0]


def test_that_by_default_it_is_recorded_every_20_epochs(build: Build, play: Any) -> None:
    experiment = build(budget={"steps": 450}, measures={"evaluate_every": 0})
    epoch = Trainer([experiment]).steps_per_epoch
    assert list(recorded(play(experiment))) == [0, *range(20 * epoch, 450, 20 * epoch), 450]


def test_that_a_run_in_a_population_records_what_it_records_alone(build: Build, play: Any) -> None:
    rules = [
        {"name": "never"},
        {"name": "early", "patience": 2},
        {"name": "gradient_norm", "bound": 1e-9},
        {"name": "early", "patience": 3},
    ]
    members = [
        build(
            stopping=rule,
            seed=seed,
            optimizer={"name": "momentum", "lr": 0.2},
            budget={"steps": 120},
            measures={"evaluate_every": 5},
        )
        for seed, rule in enumerate(rules)
    ]
    together = play(members)
    for run, member in enumerate(members):
        alone = recorded(play(member))
        mine = recorded(together, run)
        assert list(mine) == list(alone) and len(alone) >= 2
        np.testing.assert_allclose(list(mine.values()), list(alone.values()), rtol=1e-10)
    assert len(recorded(together, 2)) == 25, (
        "a rule that asks for the norm has it recorded at each evaluation"
    )
    assert max(recorded(together, 1)) < 120, "early stopping ended no run"


def test_that_a_resumed_run_knows_its_norm_at_the_start(
    build: Build, play: Any, ended: Any
) -> None:
    experiment = build(budget={"steps": 40})
    events = play(experiment, at={20: [Stop()]})
    snapshot = next(
        event.snapshot
        for event in events
        if isinstance(event, SnapshotTaken) and event.snapshot.reason == "end"
    )
    resumed = play(experiment, snapshots=[snapshot])
    assert ended(resumed).final == ended(play(experiment)).final
    assert ended(resumed).final["gradient_norm_at_start"] == recorded(events)[0]


def test_that_it_does_not_affect_instruments(build: Build) -> None:
    trainer = Trainer([build()])
    trainer.objective.keeping = True
    trainer.objective.value_and_gradient(trainer.theta, *trainer.batch_of(0))
    kept = trainer.objective.kept
    trainer.full_gradient_norm()
    assert kept is not None and trainer.objective.kept is kept and trainer.objective.keeping


def test_that_streaming_runs_have_it_on_held_out_examples_and_others_on_their_training_set(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [{"name": "streaming", "size": 16}, {"name": "shuffled", "size": 16}]
    trainer = Trainer([build(**REGRESSION, batches=order) for order in orders])
    alone = [Trainer([build(**REGRESSION, batches=order)]).full_gradient_norm() for order in orders]
    torch.testing.assert_close(trainer.full_gradient_norm(), torch.cat(alone), rtol=1e-10, atol=0.0)
    assert alone[0].item() != pytest.approx(alone[1].item(), rel=1e-3)
    # On the held examples the gradient is close to that of the risk, 2 Σ (θ − w), which is known.
    dataset: Any = trainer.requested[0].dataset
    weights, bias = (part[0] for part in trainer.layout.split(trainer.theta))
    error = (weights - torch.from_numpy(dataset.weights())).squeeze(0)
    along = 2.0 * torch.from_numpy(dataset.covariance()) @ error
    exact = math.hypot(along.norm().item(), 2.0 * bias.item())
    assert alone[0].item() == pytest.approx(
        exact, abs=5.0 * 2.0 * math.sqrt(6.0) / math.sqrt(full_gradient.HELD)
    )


def test_that_at_the_minimum_it_vanishes_and_the_batch_norm_keeps_its_noise(
    build: Build, play: Any
) -> None:
    experiment = build(
        **{
            **REGRESSION,
            "batches": {"name": "shuffled", "size": 4},
            "optimizer": {"name": "sgd", "lr": 0.002},
            "budget": {"steps": 1},
        }
    )
    trainer = Trainer([experiment])
    training = experiment.dataset.load().training
    x = np.column_stack([training.x, np.ones(len(training.x))])
    solution = np.linalg.lstsq(x, training.y[:, 0], rcond=None)[0]
    trainer.theta = torch.from_numpy(solution).unsqueeze(0)
    assert trainer.full_gradient_norm().item() < 1e-12
    errors = 2.0 * (x @ solution - training.y[:, 0])[:, None] * x
    floor = math.sqrt(float(errors.var(axis=0).sum()) / 4)
    batches = [
        torch.linalg.vector_norm(
            trainer.objective.value_and_gradient(trainer.theta, *trainer.batch_of(step))[1]
        ).item()
        for step in range(400)
    ]
    assert math.sqrt(float(np.square(batches).mean())) == pytest.approx(floor, rel=0.1)


def test_that_early_stopping_can_leave_a_large_full_gradient(
    build: Build, play: Any, ended: Any
) -> None:
    experiment = build(
        dataset={"name": "digits"},
        model={"name": "mlp", "hidden": [64]},
        optimizer={"name": "momentum", "lr": 0.05},
        batches={"name": "shuffled", "size": 8},
        stopping={"name": "early", "patience": 2, "restore_best": False},
        measures={"evaluate_every": 2},
        budget={"steps": 2000},
    )
    events = play(experiment)
    end = ended(events)
    assert end.steps < 200 and "has not fallen below" in end.reason
    assert recorded(events)[end.steps] == end.final["gradient_norm"]
    assert (
        gradient_test(end.final["gradient_norm_at_start"], end.final["gradient_norm"]).outcome
        == "not shrunk"
    )
