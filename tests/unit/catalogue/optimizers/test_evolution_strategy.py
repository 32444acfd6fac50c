"""The population gradient: unbiased, seeded, and the same whether points are evaluated together or
one by one.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optlab.catalogue.optimizers import evolution_strategy
from optlab.catalogue.optimizers._population import BatchedValues
from optlab.catalogue.optimizers.evolution_strategy import EvolutionStrategy
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment import Experiment
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.objective import Objective
from optlab.training.trainer import Trainer

A = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def estimates(descend: Any, function: Any, steps: int, **fields: Any) -> torch.Tensor:
    """Estimates of the gradient ``[steps, 3]`` at points on the way with a vanishing rate."""
    outcomes, _ = descend(
        EvolutionStrategy, function, torch.zeros(1, 3, dtype=torch.float64), steps, lr=1.0, **fields
    )
    places = torch.cat(
        [torch.zeros(1, 3, dtype=torch.float64), *(outcome.theta for outcome in outcomes)]
    )
    return -places.diff(dim=0)


def test_that_the_estimate_is_unbiased_on_a_linear_function_and_its_variance_falls_as_one_over_n(
    descend: Any,
) -> None:
    """For one pair the estimate is ``z zᵀa``: mean a, covariance ``|a|² I + a aᵀ``."""
    for pairs in (1, 4):
        found = estimates(descend, lambda theta: theta @ A, 3000, pairs=pairs, sigma=0.1)
        variance = (A.square().sum() + A.square()) / pairs
        assert bool(((found.mean(dim=0) - A).abs() < 4.5 * (variance / 3000).sqrt()).all())
        torch.testing.assert_close(found.var(dim=0), variance, rtol=0.15, atol=0.0)


def test_that_the_step_is_the_formula_with_the_seeded_draws(formula: Any, rosenbrock: Any) -> None:
    theta = torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64)
    h = Hyperparameters(lr=0.01, sigma=0.05, pairs=6, step=1)
    outcome = EvolutionStrategy.step(theta, formula(rosenbrock), {}, h)
    source = formula(rosenbrock).generator(0, "perturbations")
    z = torch.stack([torch.randn(3, dtype=torch.float64, generator=source) for _ in range(6)])
    estimate = (
        sum(
            (rosenbrock(theta + 0.05 * one) - rosenbrock(theta - 0.05 * one)) / 0.1 * one
            for one in z
        )
        / 6
    )
    torch.testing.assert_close(outcome.theta, theta - 0.01 * estimate, rtol=1e-10, atol=1e-14)


def test_that_opposite_pairs_cancel_what_is_even(descend: Any) -> None:
    found = estimates(descend, lambda theta: 1e6 + theta.square().sum(dim=1) * 0.0, 3)
    assert not found.any()


def test_that_a_large_population_is_drawn_in_parts_without_changing_the_numbers(
    formula: Any, rosenbrock: Any, monkeypatch: Any
) -> None:
    theta = torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64)
    h = Hyperparameters(lr=0.01, sigma=0.05, pairs=10, step=1)
    whole = EvolutionStrategy.step(theta, formula(rosenbrock), {}, h).theta
    monkeypatch.setattr(evolution_strategy, "_MAX_VALUES", 24)
    parts = EvolutionStrategy.step(theta, formula(rosenbrock), {}, h).theta
    assert not torch.equal(parts, theta)
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("limit", [8_000_000, 1])
def test_that_the_oracle_evaluates_many_points_as_it_does_one_by_one(
    limit: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr("optlab.objective.batch_objective._POPULATION_VALUES", limit)
    experiment = Experiment.from_dict(
        {
            "dataset": {"name": "moons"},
            "model": {"name": "mlp", "hidden": [4]},
            "loss": {"name": "cross_entropy", "l2": 0.1, "l1": 0.01},
        }
    )
    data = experiment.dataset.load()
    source = torch.Generator().manual_seed(0)
    x = torch.from_numpy(data.training.x).double()[:40].reshape(2, 20, 2)
    y = torch.from_numpy(data.training.y)[:40].reshape(2, 20)
    batch_objective = BatchObjective(
        Objective(experiment.model, experiment.loss, data.shape), x, y, [0, 1], 0
    )
    points = torch.randn(
        2, 5, batch_objective._objective.layout.total, dtype=torch.float64, generator=source
    )
    assert isinstance(batch_objective, BatchedValues)
    expected = torch.stack([batch_objective.loss(points[:, k]) for k in range(5)], dim=1)
    torch.testing.assert_close(batch_objective.values(points), expected, rtol=1e-12, atol=0.0)


def test_that_it_trains_a_network_without_using_its_gradient() -> None:
    tables = {
        "device": "cpu",
        "dataset": {"name": "moons", "size": 200},
        "model": {"name": "mlp", "hidden": [8], "activation": "tanh"},
        "optimizer": {"name": "evolution_strategy", "lr": 0.3},
        "batches": {"name": "never_shuffled", "size": 0},
    }
    trainer = Trainer([Experiment.from_dict(tables)])
    first = float(trainer.evaluate()["train_loss"])
    for _ in range(150):
        trainer.advance()
    assert float(trainer.evaluate()["train_loss"]) < 0.6 * first
