"""Numbers that follow a schedule of their own, against loops written by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional

from optlab.experiment import Experiment
from optlab.training.events import Event
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
SameAlone = Callable[..., list[Event]]

TABLES: dict[str, Any] = {
    "precision": "float64",
    "dataset": {"name": "iris"},
    "model": {"name": "linear"},
    "batches": {"name": "shuffled", "size": 32},
    "initializer": {"name": "gaussian", "std": 0.5},
}


def trained(steps: int, **tables: Any) -> tuple[Trainer, torch.Tensor]:
    """A trainer after some steps, and its start ``[P]``."""
    trainer = Trainer([Experiment.from_dict({**TABLES, **tables})])
    population = trainer.population
    start = population.theta[0].clone()
    for step in range(steps):
        population.accept(population.propose(*trainer.batch_of(step)))
    return trainer, start


def by_hand(
    trainer: Trainer,
    start: torch.Tensor,
    steps: int,
    *,
    momentum: Callable[[int], float] = lambda k: 0.0,
    l2: Callable[[int], float] = lambda k: 0.0,
    threshold: Callable[[int], float] = lambda k: float("inf"),
    lr: float = 0.1,
) -> torch.Tensor:
    """Parameters ``[P]`` after softmax regression written out."""
    weight, bias = (part[0].clone() for part in trainer.layout.split(start.unsqueeze(0)))
    v = torch.zeros(len(start), dtype=start.dtype)
    for step in range(steps):
        weight, bias = weight.detach().requires_grad_(), bias.detach().requires_grad_()
        x, y = (part[0] for part in trainer.batch_of(step))
        cost = functional.cross_entropy(functional.linear(x, weight, bias), y)
        (cost + 0.5 * l2(step) * weight.square().sum()).backward()
        assert weight.grad is not None and bias.grad is not None
        g = torch.cat([weight.grad.flatten(), bias.grad.flatten()])
        g = g * min(1.0, threshold(step) / float(g.norm()))
        v = momentum(step) * v - lr * g
        weight = weight + v[: weight.numel()].view_as(weight)
        bias = bias + v[weight.numel() :]
    return torch.cat([weight.flatten(), bias.flatten()]).detach()


def rising(k: int) -> float:
    return 0.5 + 0.4 * min(k / 40, 1.0)


def test_that_momentum_is_raised() -> None:
    trainer, start = trained(
        70,
        optimizer={"name": "momentum", "lr": 0.1, "momentum": 0.8},
        schedules={"optimizer.momentum": "from 0.5; linear to 0.9 in 40"},
    )
    expected = by_hand(trainer, start, 70, momentum=rising)
    assert torch.allclose(trainer.theta[0], expected, rtol=1e-10, atol=1e-12)
    without = by_hand(trainer, start, 70, momentum=lambda k: 0.9)
    assert not torch.allclose(trainer.theta[0], without, rtol=1e-3)


def test_that_weight_decay_and_clipping_follow_their_schedules() -> None:
    trainer, start = trained(
        60,
        optimizer={"name": "sgd", "lr": 0.1},
        loss={"name": "cross_entropy", "l2": 0.5},
        clipping={"name": "norm", "threshold": 0.4},
        schedules={"loss.l2": "linear to 10% in 30", "clipping.threshold": "hold 20; from 25%"},
    )
    expected = by_hand(
        trainer,
        start,
        60,
        l2=lambda k: 0.5 - 0.45 * min(k / 30, 1.0),
        threshold=lambda k: 0.4 if k < 20 else 0.1,
    )
    assert torch.allclose(trainer.theta[0], expected, rtol=1e-10, atol=1e-12)


def test_that_the_penalty_reported_is_that_of_the_step() -> None:
    trainer, _ = trained(
        30,
        optimizer={"name": "sgd", "lr": 0.1},
        loss={"name": "cross_entropy", "l2": 0.5},
        schedules={"loss.l2": "linear to 10% in 30"},
    )
    weight, _ = trainer.layout.split(trainer.theta)
    penalty = float(trainer.evaluate()["penalty"][0])
    assert penalty == pytest.approx(0.5 * 0.05 * float(weight.square().sum()), rel=1e-10)


def test_that_the_decay_of_an_average_follows_its_schedule() -> None:
    trainer, start = trained(
        20,
        optimizer={"name": "sgd", "lr": 0.1},
        averaging={"name": "exponential", "decay": 0.9},
        schedules={"averaging.decay": "from 0; linear to 100% in 10"},
    )
    average = start
    for step in range(20):
        decay = 0.9 * min(step / 10, 1.0)
        average = decay * average + (1.0 - decay) * by_hand(trainer, start, step + 1)
    averaged = trainer.population.averaged()
    assert averaged is not None
    assert torch.allclose(averaged[0], average, rtol=1e-9, atol=1e-12)


KINDS: dict[str, list[dict[str, Any]]] = {
    "momentum": [
        {"schedules": {"optimizer.momentum": "from 0.5; linear to 0.9 in 60"}},
        {"schedules": {"optimizer.momentum": "nesterov"}},
        {},
    ],
    "weight decay": [
        {"schedules": {"loss.l2": "from 0.1; exponential to 0.001 in 50"}},
        {"schedules": {"loss.l2": "from 0.3; hold 40; from 0", "loss.l1": "from 0.01"}},
        {},
    ],
    "the same weight decay for all": [
        {"schedules": {"loss.l2": "from 0.1; exponential to 0.001 in 50"}},
        {"schedules": {"loss.l2": "from 0.1; exponential to 0.001 in 50"}},
    ],
    "clipping and rate": [
        {
            "clipping": {"name": "norm", "threshold": 0.5},
            "schedules": {"clipping.threshold": "exponential to 10% in 2 epochs"},
            "schedule": {
                "name": "pieces",
                "pieces": "from 0%; linear to 100% in 1 epoch; cosine to 0 in 80",
            },
        },
        {"clipping": {"name": "norm", "threshold": 0.2}},
    ],
    "a rule that evaluates the objective": [
        {
            "optimizer": {"name": "newton"},
            "loss": {"name": "cross_entropy", "l2": 0.1},
            "schedules": {"optimizer.damping": "from 4; exponential to 1 in 20"},
        },
        {"optimizer": {"name": "newton", "damping": 2.0}, "schedules": {"loss.l2": "from 0.1"}},
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_that_runs_with_different_schedules_train_together_as_alone(
    build: Build, same_alone: SameAlone, kind: str
) -> None:
    experiments = [
        build(**changes, budget={"steps": 90}, seed=seed)
        for seed, changes in enumerate(KINDS[kind])
    ]
    same_alone(experiments, snapshot_at=30)
