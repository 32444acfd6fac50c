"""Sophia against the paper and pytorch-optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from optlab.catalogue.optimizers.sophia import Sophia
from optlab.core.hyperparameters import Hyperparameters

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


def test_that_the_steps_are_those_of_the_paper(
    follow: Follow, published: Follow, problem: Any
) -> None:
    """Algorithm 3; with random signs the estimate is the diagonal, as the Hessian is diagonal."""
    eta, b1, b2, gamma, eps, decay, k = 0.05, 0.8, 0.9, 0.4, 1e-12, 0.1, 7
    m, h = np.zeros(16), np.zeros(16)
    clipped = []

    def step(theta: Any, gradient: Any, t: int) -> Any:
        nonlocal m, h
        m = b1 * m + (1 - b1) * gradient(theta)
        if t % k == 1:
            h = b2 * h + (1 - b2) * (problem.CURVATURE.numpy() + 0.3 * theta**2)
        theta = theta - eta * decay * theta
        ratio = m / np.maximum(gamma * h, eps)
        clipped.append(np.abs(ratio) > 1)
        return theta - eta * np.clip(ratio, -1, 1)

    theirs = published(step)
    assert 0.05 < np.mean(clipped) < 0.95
    ours = follow(
        Sophia,
        lr=eta,
        beta1=b1,
        beta2=b2,
        gamma=gamma,
        eps=eps,
        weight_decay=decay,
        period=k,
        draws="signs",
    )
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_that_the_steps_are_those_of_pytorch_optimizer(reference: Any) -> None:
    ours, theirs = reference("sophia", Sophia)
    torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("draws", ["normal", "signs"])
def test_that_the_estimate_averages_to_the_diagonal(formula: Any, draws: str) -> None:
    """4,000 runs with draws of their own, on a Hessian with entries beside the diagonal."""
    hessian = torch.tensor([[2.0, 0.7], [0.7, -1.0]], dtype=torch.float64)
    runs = 4000

    class Quadratic(formula):  # type: ignore[misc]
        def hessian_product(self, theta: torch.Tensor) -> Any:
            return lambda v: v @ hessian

    objective = Quadratic(lambda theta: 0.5 * ((theta @ hessian) * theta).sum(dim=1), runs)
    theta = torch.ones(runs, 2, dtype=torch.float64)
    h = Hyperparameters(**{**Sophia().values(), "draws": draws, "beta2": 0.0}, step=1)
    estimates = Sophia.step(theta, objective, Sophia.start(theta), h).state["h"]
    error = estimates.std(dim=0) / runs**0.5
    assert ((estimates.mean(dim=0) - hessian.diagonal()).abs() < 4.0 * error).all()
    assert (error > 0.0).all()
