"""AdamW: decay beside the division, and torch's AdamW."""

from __future__ import annotations

import pytest
import torch

from optlab.catalogue.optimizers.adam import Adam
from optlab.catalogue.optimizers.adamw import AdamW
from optlab.core.hyperparameters import Hyperparameters


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def hyper(step: int, **values: float) -> Hyperparameters:
    return Hyperparameters(**{**AdamW().values(), **values, "step": step})


def test_that_every_value_shrinks_by_the_same_share_whatever_its_gradient() -> None:
    theta, g = numbers(2.0, 2.0, -4.0), numbers(1e-3, 50.0, 7.0)
    decayed, _ = AdamW.update(theta, g, AdamW.start(theta), hyper(1, lr=0.1, weight_decay=0.5))
    plain, _ = AdamW.update(theta, g, AdamW.start(theta), hyper(1, lr=0.1, weight_decay=0.0))
    torch.testing.assert_close(plain - decayed, 0.05 * theta, rtol=1e-12, atol=0.0)


def test_that_without_decay_it_is_adam() -> None:
    theta, state = numbers(1.0, -2.0), AdamW.start(numbers(1.0, -2.0))
    other, memory = theta, Adam.start(theta)
    for step in range(1, 20):
        g = numbers(step**0.5, -1.0 / step)
        theta, state = AdamW.update(theta, g, state, hyper(step, lr=0.1, weight_decay=0.0))
        other, memory = Adam.update(other, g, memory, hyper(step, lr=0.1))
    assert torch.equal(theta, other)


def test_that_the_decay_acts_on_the_parameters_before_the_step() -> None:
    after, _ = AdamW.update(
        numbers(3.0),
        numbers(4.0),
        AdamW.start(numbers(3.0)),
        hyper(1, lr=0.5, weight_decay=0.5, eps=1.0),
    )
    assert after.item() == pytest.approx(3.0 * 0.75 - 0.5 * 4.0 / (4.0 + 1.0), rel=1e-14)


def test_that_adamw_equals_torch() -> None:
    gradients = torch.randn(200, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    parameter = torch.nn.Parameter(torch.ones(5, dtype=torch.float64))
    batch_objective = torch.optim.AdamW(
        [parameter], lr=0.01, betas=(0.85, 0.99), eps=1e-3, weight_decay=0.3
    )
    theta = parameter.detach().clone().unsqueeze(0)
    state = AdamW.start(theta)
    for step, g in enumerate(gradients, start=1):
        parameter.grad = g
        batch_objective.step()
        theta, state = AdamW.update(
            theta,
            g.unsqueeze(0),
            state,
            hyper(step, lr=0.01, beta1=0.85, beta2=0.99, eps=1e-3, weight_decay=0.3),
        )
    torch.testing.assert_close(theta[0], parameter.detach(), rtol=1e-12, atol=1e-14)
