"""SAM against the paper and pytorch-optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from optlab.catalogue.optimizers.sam import SAM

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


def test_that_the_steps_are_those_of_the_paper(follow: Follow, published: Follow) -> None:
    """Algorithm 1 with plain gradient descent."""
    eta, rho = 0.05, 0.7

    def step(w: Any, gradient: Any, t: int) -> Any:
        g = gradient(w)
        return w - eta * gradient(w + rho * g / np.sqrt((g**2).sum()))

    ours = follow(SAM, lr=eta, rho=rho, before="sgd")
    torch.testing.assert_close(ours, published(step), rtol=1e-11, atol=1e-12)


def test_that_the_adaptive_steps_are_those_of_the_paper(follow: Follow, published: Follow) -> None:
    """ASAM with the operator T = |w|: the perturbation is ρ T² g / ‖T g‖."""
    eta, rho = 0.05, 0.7

    def step(w: Any, gradient: Any, t: int) -> Any:
        t_g = np.abs(w) * gradient(w)
        return w - eta * gradient(w + rho * np.abs(w) * t_g / np.linalg.norm(t_g))

    ours = follow(SAM, lr=eta, rho=rho, before="sgd", adaptive=True)
    torch.testing.assert_close(ours, published(step), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("form", ["sam", "sam_adaptive"])
def test_that_the_steps_with_momentum_are_those_of_pytorch_optimizer(
    reference: Any, form: str
) -> None:
    ours, theirs = reference(form, SAM)
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_that_a_step_costs_two_gradients_and_reports_the_loss_before_it(
    descend: Any, quadratic: Any
) -> None:
    _, _, function = quadratic(4)
    theta = torch.ones(2, 4, dtype=torch.float64)
    outcomes, evaluations = descend(SAM, function, theta, 3, rho=0.5)
    assert evaluations == 6
    assert torch.equal(outcomes[2].loss, function(outcomes[1].theta))
