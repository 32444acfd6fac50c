"""Lookahead against the paper and pytorch-optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from optlab.catalogue.optimizers.lookahead import Lookahead
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


def test_that_the_steps_are_those_of_the_paper(follow: Follow, published: Follow) -> None:
    """Algorithm 1 with momentum as the inner optimizer, whose velocity goes on."""
    alpha, k, lr, momentum = 0.6, 7, 0.05, 0.8
    phi: Any = None
    v = np.zeros(16)

    def step(theta: Any, gradient: Any, t: int) -> Any:
        nonlocal phi, v
        phi = theta.copy() if phi is None else phi
        v = momentum * v - lr * gradient(theta)
        theta = theta + v
        if t % k == 0:
            phi = phi + alpha * (theta - phi)
            theta = phi.copy()
        return theta

    ours = follow(Lookahead, lr=lr, momentum=momentum, period=k, share=alpha)
    torch.testing.assert_close(ours, published(step), **EXACT)


def test_that_the_steps_around_adam_are_those_of_pytorch_optimizer(reference: Any) -> None:
    ours, theirs = reference("lookahead", Lookahead)
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_that_the_slow_weights_are_evaluated_beside_the_fast_ones() -> None:
    run = {
        "precision": "float64",
        "device": "cpu",
        "dataset": {"name": "moons", "size": 60},
        "model": {"name": "linear"},
        "batches": {"name": "never_shuffled", "size": 10},
    }
    trainer = Trainer(
        [
            Experiment.from_dict({**run, "optimizer": {"name": name, "lr": 0.3}})
            for name in ("lookahead", "momentum")
        ]
    )
    start = trainer.theta.clone()
    for _ in range(3):
        trainer.advance()
    averaged = trainer.population.averaged()
    assert averaged is not None
    assert torch.equal(averaged[0], start[0])
    assert torch.equal(averaged[1], trainer.theta[1])
    values = trainer.evaluate()
    assert values["averaged_train_loss"][0] != values["train_loss"][0]
    assert values["averaged_train_loss"][1] == values["train_loss"][1]
