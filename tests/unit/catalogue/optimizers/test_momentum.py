"""Momentum against its terminal speed and its closed form on a quadratic."""

from __future__ import annotations

import math

import pytest
import torch

from optlab.catalogue.optimizers.momentum import Momentum
from optlab.core.hyperparameters import Hyperparameters


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def test_that_the_speed_under_a_constant_gradient_follows_the_geometric_sum() -> None:
    lr, alpha, g = 0.1, 0.9, numbers(2.0)
    theta, state = numbers(0.0), Momentum.start(numbers(0.0))
    for step in range(1, 31):
        before = theta
        theta, state = Momentum.update(
            theta, g, state, Hyperparameters(lr=lr, momentum=alpha, form="notes", step=step)
        )
        speed = lr * 2.0 * (1.0 - alpha**step) / (1.0 - alpha)
        assert (before - theta).item() == pytest.approx(speed, rel=1e-12)


@pytest.mark.parametrize("alpha", [0.5, 0.9, 0.99])
def test_that_the_speed_tends_to_the_terminal_one(alpha: float) -> None:
    theta, state = numbers(0.0), Momentum.start(numbers(0.0))
    for step in range(1, 4001):
        before = theta
        theta, state = Momentum.update(
            theta,
            numbers(-3.0),
            state,
            Hyperparameters(lr=0.01, momentum=alpha, form="notes", step=step),
        )
    assert (theta - before).item() == pytest.approx(0.01 * 3.0 / (1.0 - alpha), rel=1e-9)  # (8.17)


@pytest.mark.parametrize("form", ["notes", "torch"])
def test_that_a_critically_damped_quadratic_follows_its_closed_form(form: str) -> None:
    """With α = (1 − √(εk))² both roots of λ² − (1 − εk + α)λ + α are √α, so θ_n = (θ₀ + n(θ₁/λ −
    θ₀))λⁿ.
    """
    lr, curvature, start = 0.1, 2.5, 3.0
    alpha = (1.0 - math.sqrt(lr * curvature)) ** 2
    root = math.sqrt(alpha)
    first = (1.0 - lr * curvature) * start
    theta, state = numbers(start), Momentum.start(numbers(start))
    for step in range(1, 26):
        theta, state = Momentum.update(
            theta,
            curvature * theta,
            state,
            Hyperparameters(lr=lr, momentum=alpha, form=form, step=step),
        )
        assert theta.item() == pytest.approx(
            (start + step * (first / root - start)) * root**step, rel=1e-9
        )


def test_that_a_velocity_keeps_its_speed_when_the_rate_falls() -> None:
    """The notes fold the rate into the velocity; torch multiplies it afterwards, and then stands
    nearly still.
    """
    h = {
        form: [Hyperparameters(lr=lr, momentum=0.5, form=form, step=1) for lr in (1.0, 1e-3)]
        for form in ("notes", "torch")
    }
    moved = {}
    for form, (high, low) in h.items():
        theta, state = Momentum.update(
            numbers(0.0), numbers(-1.0), Momentum.start(numbers(0.0)), high
        )
        assert theta.item() == 1.0
        after, _ = Momentum.update(theta, numbers(0.0), state, low)
        moved[form] = (after - theta).item()
    assert moved["notes"] == pytest.approx(0.5)
    assert moved["torch"] == pytest.approx(0.5e-3)


def test_that_the_torch_form_equals_torch_while_the_rate_falls() -> None:
    gradients = torch.randn(60, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parameter = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))
    batch_objective = torch.optim.SGD([parameter], lr=0.1, momentum=0.8)
    theta = parameter.detach().clone().unsqueeze(0)
    state = Momentum.start(theta)
    for step, g in enumerate(gradients, start=1):
        lr = 0.1 / step
        batch_objective.param_groups[0]["lr"] = lr
        parameter.grad = g
        batch_objective.step()
        theta, state = Momentum.update(
            theta,
            g.unsqueeze(0),
            state,
            Hyperparameters(lr=lr, momentum=0.8, form="torch", step=step),
        )
    torch.testing.assert_close(theta[0], parameter.detach(), rtol=1e-13, atol=1e-13)


def test_that_momentum_starts_at_rest() -> None:
    state = Momentum.start(torch.ones(2, 3, dtype=torch.float64))
    assert state["v"].shape == (2, 3)
    assert not state["v"].any()
