"""Schedule-free SGD against the paper, its package, and a full training run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from optlab.catalogue.optimizers.schedule_free_sgd import ScheduleFreeSGD
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


def test_that_the_steps_are_those_of_the_paper(follow: Follow, published: Follow) -> None:
    """Equations (3) to (5) with weights 1/t, as long as the rate is constant."""
    gamma, beta = 0.3, 0.8
    z: Any = None

    def step(x: Any, gradient: Any, t: int) -> Any:
        nonlocal z
        z = x.copy() if z is None else z
        y = (1 - beta) * z + beta * x
        z = z - gamma * gradient(y)
        return (1 - 1 / t) * x + z / t

    ours = follow(ScheduleFreeSGD, lr=gamma, momentum=beta)
    torch.testing.assert_close(ours, published(step), **EXACT)


def test_that_the_steps_are_those_of_the_package_of_the_authors(reference: Any) -> None:
    ours, theirs = reference("schedule_free_sgd", ScheduleFreeSGD)
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_that_steps_weigh_their_number_and_the_largest_rate_so_far_to_the_powers() -> None:
    """The average of z₁, z₂, z₃ with weights tᵖ max(ε)^q, at the rates 0.1, 0.4, 0.2."""
    rates, p, q = (0.1, 0.4, 0.2), 1.5, 3.0
    theta = torch.tensor([[1.0]], dtype=torch.float64)
    state = ScheduleFreeSGD.start(theta)
    z, zs, weights = 1.0, [], []
    for t, lr in enumerate(rates, start=1):
        h = Hyperparameters(lr=lr, momentum=0.9, weight_power=p, rate_power=q, step=t)
        theta, state = ScheduleFreeSGD.update(theta, torch.ones_like(theta), state, h)
        z -= lr
        zs.append(z)
        weights.append(t**p * max(rates[:t]) ** q)
    assert abs(theta.item() - np.average(zs, weights=weights)) < 1e-14


def test_that_losses_are_recorded_at_the_average_and_at_the_point_of_the_gradient() -> None:
    experiment = Experiment.from_dict(
        {
            "precision": "float64",
            "device": "cpu",
            "dataset": {"name": "moons", "size": 60},
            "model": {"name": "linear"},
            "optimizer": {"name": "schedule_free_sgd", "lr": 2.0},
            "batches": {"name": "never_shuffled", "size": 10},
        }
    )
    trainer = Trainer([experiment])
    for _ in range(7):
        trainer.advance()
    values = trainer.evaluate()
    z = trainer.population.groups[0].state["z"]
    y = 0.1 * z + 0.9 * trainer.theta
    data = experiment.dataset.load().training
    x, classes = torch.from_numpy(data.x), torch.from_numpy(data.y)
    for name, at in (("train_loss", trainer.theta), ("point_train_loss", y)):
        weight, bias = trainer.layout.split(at)
        expected = torch.nn.functional.cross_entropy(x @ weight[0].T + bias[0], classes)
        torch.testing.assert_close(values[name][0], expected, rtol=1e-12, atol=0.0)
    assert values["train_loss"] != values["point_train_loss"]
