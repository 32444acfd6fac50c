"""Runs of one population that minimize different objectives: losses, weight decay, blurs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from optlab.catalogue.losses.cross_entropy import CrossEntropy
from optlab.catalogue.losses.squared_error import SquaredError
from optlab.catalogue.models.base import EVALUATION
from optlab.experiment import Experiment
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.hessian import batch_hessian
from optlab.objective.objective import Objective
from optlab.objective.run_objective import RunObjective
from optlab.training.events import Event, RunEnded
from optlab.training.population import population_key
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
SameAlone = Callable[..., list[Event]]

LOSSES: list[dict[str, Any]] = [
    {"name": "cross_entropy"},
    {"name": "cross_entropy", "l2": 0.1},
    {"name": "cross_entropy", "l1": 0.01},
    {"name": "squared_error", "l1": 0.001, "l2": 0.02},
    {"name": "squared_error"},
]
BLURS: list[dict[str, Any]] = [
    {"name": "none"},
    {"name": "blur", "sigma": 0.3, "length": 20, "stages": 3, "samples": 2},
    {"name": "blur", "sigma": 0.1, "length": 35, "stages": 3, "samples": 2},
    {"name": "blur", "sigma": 0.2, "length": 10, "stages": 2, "samples": 5},
]
MODELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "batch normalization": {"model": {"name": "mlp", "hidden": [5], "batch_norm": True}},
    "sequences": {
        "dataset": {"name": "copy_task", "size": 60},
        "model": {"name": "rnn", "units": 4},
    },
    "loss of its own": {
        "dataset": {"name": "iris", "unit_range": True},
        "model": {"name": "rbm", "hidden": 4, "learning": "cd", "k": 1},
        "optimizer": {"lr": 0.01},
    },
    "line search": {"optimizer": {"name": "lbfgs"}},
    "newton": {"optimizer": {"name": "newton", "damping": 10.0}},
    "natural gradient": {"optimizer": {"name": "natural_gradient", "lr": 0.1, "damping": 1.0}},
    "Fisher products": {
        "optimizer": {"name": "natural_gradient", "lr": 0.1, "damping": 1.0, "solver": "products"}
    },
    "evolution": {"optimizer": {"name": "cma_es"}, "budget": {"steps": 30}},
    "instruments": {
        "instruments": {
            "conditioning": {"every": 40},
            "gradient_noise": {"every": 40},
            "gradients_by_layer": {"every": 40},
            "excess_error": {"every": 40},
            "spectrum": {"every": 40, "examples": 20, "bottom": 1, "tolerance": 1e-12},
        }
    },
    "pretraining and the best of many starts": {
        "initializer": {"name": "gaussian", "tries": 5},
        "pretraining": {"name": "supervised", "epochs": 2},
    },
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.soak] if place % 2 else [])
        for place, kind in enumerate(MODELS)
    ],
)
def test_that_runs_with_different_losses_are_the_same_runs_alone(
    build: Build, same_alone: SameAlone, kind: str
) -> None:
    losses = LOSSES
    if kind == "loss of its own":  # the model takes the weight decay alone
        losses = [{**loss, "name": "squared_error"} for loss in LOSSES[:3]]
    experiments = [
        build(**{"budget": {"steps": 80}, **MODELS[kind], "loss": loss}) for loss in losses
    ]
    assert len({population_key(experiment) for experiment in experiments}) == 1
    together = same_alone(experiments, snapshot_at=20)
    ends = {event.theta_sha256 for event in together if isinstance(event, RunEnded)}
    assert len(ends) == len(losses)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": {"name": "mlp", "hidden": [5], "batch_norm": True}},
        {"instruments": {"conditioning": {"every": 25}, "distance": {"every": 25}}},
    ],
)
def test_that_runs_with_different_blurs_are_the_same_runs_alone(
    build: Build, same_alone: SameAlone, changes: dict[str, Any]
) -> None:
    experiments = [
        build(**{"budget": {"steps": 200}, **changes}, continuation=blur) for blur in BLURS
    ]
    same_alone(experiments, snapshot_at=30)


def test_that_a_blur_does_not_reach_a_rule_that_evaluates_the_objective(
    build: Build, same_alone: SameAlone
) -> None:
    """Alone neither can have the other's."""
    same_alone(
        [
            build(continuation=BLURS[1]),
            build(optimizer={"name": "lbfgs"}),
            build(loss=LOSSES[3], continuation=BLURS[2]),
        ],
        snapshot_at=30,
    )


def test_that_data_losses_blurs_and_budgets_differ_together(
    build: Build, same_alone: SameAlone
) -> None:
    same_alone(
        [
            build(
                seed=number % 2,
                dataset={"seed": number % 3},
                loss=LOSSES[number % 5],
                continuation=BLURS[number % 4],
                budget={"steps": 40 + 23 * (number % 4)},
                model={"name": "mlp", "hidden": [5], "batch_norm": True},
                optimizer={"name": ("momentum", "adam")[number % 2]},
            )
            for number in range(12)
        ],
        snapshot_at=33,
    )


def test_that_a_changed_rate_reaches_one_objective_only(build: Build) -> None:
    trainer = Trainer([build(loss=loss) for loss in LOSSES])
    alone = Trainer([build(loss=LOSSES[1])])
    for each, run in ((trainer, 1), (alone, None)):
        for _ in range(10):
            each.advance()
        each.set_value("optimizer.lr", 0.2, run)
        for _ in range(10):
            each.advance()
    torch.testing.assert_close(trainer.theta[1], alone.theta[0], rtol=1e-10, atol=1e-12)


def objectives() -> tuple[RunObjective, list[Objective], torch.Tensor, torch.Tensor, torch.Tensor]:
    from optlab.catalogue.models.mlp import MLP
    from optlab.core.data import DataShape

    losses = [CrossEntropy(l2=0.3), SquaredError(l1=0.2), CrossEntropy(), CrossEntropy(l2=0.3)]
    model, shape = MLP(hidden=(3,)), DataShape((2,), 3, "classes")
    source = torch.Generator().manual_seed(3)
    x = torch.randn(4, 7, 2, generator=source, dtype=torch.float64)
    y = torch.randint(3, (4, 7), generator=source)
    alone = [Objective(model, loss, shape) for loss in losses]
    together = RunObjective(model, losses, shape, None, [0, 1, 2, 0])
    theta = torch.randn(4, together.layout.total, generator=source, dtype=torch.float64)
    return together, alone, theta, x, y


def test_that_derivatives_of_any_rows_are_those_of_the_runs() -> None:
    together, alone, theta, x, y = objectives()
    v = theta.flip(1)
    for rows in ([0, 1, 2, 3], [2], [3, 1], [1, 1, 0, 2, 2], [0, 3]):
        some = together.selected(rows)
        hessian = batch_hessian(some, theta[rows], x[rows], y[rows])
        found = (
            *some.value_and_gradient(theta[rows], x[rows], y[rows]),
            some.total(theta[rows], x[rows], y[rows]),
            hessian.product(v[rows]),
            hessian.along(v[rows]),
            hessian.dense(),
            some.outputs(theta[rows], x[rows], EVALUATION),
        )
        for place, run in enumerate(rows):
            one = slice(run, run + 1)
            own = batch_hessian(alone[run], theta[one], x[one], y[one])
            right = (
                *alone[run].value_and_gradient(theta[one], x[one], y[one]),
                alone[run].total(theta[one], x[one], y[one]),
                own.product(v[one]),
                own.along(v[one]),
                own.dense(),
                alone[run].outputs(theta[one], x[one], EVALUATION),
            )
            for mine, his in zip(found, right, strict=True):
                torch.testing.assert_close(mine[place], his[0], rtol=1e-12, atol=1e-14)


def test_that_a_batch_objective_has_the_matrices_of_each_run() -> None:
    together, alone, theta, x, y = objectives()
    batch = BatchObjective(together, x, y, [0] * 4, 0)
    points = theta.unsqueeze(1) + 0.1 * torch.arange(3).view(1, 3, 1)
    values, fisher, hessian = batch.values(points), batch.fisher(theta), batch.hessian(theta)
    product = batch.fisher_product(theta)(theta)
    for run, objective in enumerate(alone):
        one = slice(run, run + 1)
        own = BatchObjective(objective, x[one], y[one], [0], 0)
        for mine, his in (
            (values[run], own.values(points[one])[0]),
            (fisher[run], own.fisher(theta[one])[0]),
            (hessian[run], own.hessian(theta[one])[0]),
            (product[run], own.fisher_product(theta[one])(theta[one])[0]),
            (batch.only(run).gradient(theta[one])[1][0], own.gradient(theta[one])[1][0]),
        ):
            torch.testing.assert_close(mine, his, rtol=1e-12, atol=1e-14)


def test_that_an_infinite_weight_without_decay_has_no_penalty() -> None:
    together, alone, theta, _, _ = objectives()
    theta[2] = float("inf")
    for found, own in (
        (together.penalty(theta), None),
        (together.decay_gradient(theta), None),
        (together.decay_product(theta), None),
    ):
        assert found is not None and own is alone[2].penalty(theta[2:3])
        assert not bool(found[2].any())


@pytest.mark.parametrize("deferred", [False, True])
def test_that_a_diverging_run_names_the_tensor_of_its_own_data_and_loss(
    build: Build, deferred: bool
) -> None:
    """On a device the steps of a frozen run are repeated, of that run alone."""
    linear: Any = {"dataset": {"name": "least_squares", "size": 60}, "model": {"name": "linear"}}
    experiments = [
        build(
            **{**linear, "dataset": {**linear["dataset"], "seed": number}},
            optimizer={"name": "sgd", "lr": rate},
            loss={"name": "squared_error", "l2": decay},
            continuation=blur,
        )
        for number, (rate, decay, blur) in enumerate(
            [(0.001, 0.0, BLURS[0]), (3e40, 0.0, BLURS[1]), (1e90, 0.5, BLURS[0])]
        )
    ]
    together = Trainer(experiments, deferred=deferred)
    for _ in range(12):
        together.advance()
    together.sync_divergence()
    assert together.alive == [0]
    for run in (1, 2):
        alone = Trainer([experiments[run]])
        for _ in range(12):
            alone.advance()
        assert together.endings[run] == alone.endings[0]
        torch.testing.assert_close(together.theta[run], alone.theta[0], rtol=1e-10, atol=0.0)
