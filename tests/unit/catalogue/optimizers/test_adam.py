"""Adam: bias correction, the place of its small constant, and torch's Adam."""

from __future__ import annotations

import math

import pytest
import torch

from optlab.catalogue.optimizers.adam import Adam
from optlab.core.hyperparameters import Hyperparameters


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def hyper(
    step: int, lr: float = 0.1, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> Hyperparameters:
    return Hyperparameters(lr=lr, beta1=beta1, beta2=beta2, eps=eps, step=step)


def test_that_the_first_step_is_the_rate_against_the_sign_of_the_gradient() -> None:
    after, _ = Adam.update(
        numbers(0.0, 0.0, 0.0),
        numbers(5.0, -0.01, 300.0),
        Adam.start(numbers(0.0, 0.0, 0.0)),
        hyper(1),
    )
    torch.testing.assert_close(after, numbers(-0.1, 0.1, -0.1), rtol=2e-6, atol=0.0)


def test_that_bias_correction_makes_every_step_under_a_constant_gradient_the_same() -> None:
    theta, state, g = numbers(0.0, 0.0), Adam.start(numbers(0.0, 0.0)), numbers(4.0, -0.5)
    for step in range(1, 51):
        before = theta
        theta, state = Adam.update(theta, g, state, hyper(step, beta1=0.8, beta2=0.9, eps=0.25))
        torch.testing.assert_close(before - theta, 0.1 * g / (g.abs() + 0.25), rtol=1e-11, atol=0.0)


def test_that_the_small_constant_is_added_outside_the_root() -> None:
    after, _ = Adam.update(
        numbers(0.0), numbers(1e-4), Adam.start(numbers(0.0)), hyper(1, lr=1.0, eps=1e-4)
    )
    assert after.item() == pytest.approx(-0.5, rel=1e-12)


def test_that_two_steps_give_the_numbers_computed_by_hand() -> None:
    lr, rho1, rho2, eps = 0.5, 0.5, 0.75, 0.125
    theta, state = Adam.update(
        numbers(1.0), numbers(2.0), Adam.start(numbers(1.0)), hyper(1, lr, rho1, rho2, eps)
    )
    assert state["s"].item() == 1.0  # ½ · 2
    assert state["r"].item() == 1.0  # ¼ · 4
    assert theta.item() == pytest.approx(1.0 - 0.5 * 2.0 / (2.0 + 0.125))
    second, state = Adam.update(theta, numbers(-4.0), state, hyper(2, lr, rho1, rho2, eps))
    assert state["s"].item() == 0.5 - 2.0
    assert state["r"].item() == 0.75 + 4.0
    expected = 0.5 * (-1.5 / 0.75) / (math.sqrt(4.75 / (1.0 - 0.75**2)) + 0.125)
    assert (theta - second).item() == pytest.approx(expected, rel=1e-12)


def test_that_adam_equals_torch() -> None:
    gradients = torch.randn(200, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    parameter = torch.nn.Parameter(torch.ones(5, dtype=torch.float64))
    batch_objective = torch.optim.Adam([parameter], lr=0.01, betas=(0.85, 0.99), eps=1e-3)
    theta = parameter.detach().clone().unsqueeze(0)
    state = Adam.start(theta)
    for step, g in enumerate(gradients, start=1):
        parameter.grad = g
        batch_objective.step()
        theta, state = Adam.update(
            theta, g.unsqueeze(0), state, hyper(step, 0.01, 0.85, 0.99, 1e-3)
        )
    torch.testing.assert_close(theta[0], parameter.detach(), rtol=1e-12, atol=1e-12)


def test_that_columns_give_each_run_its_own_constants() -> None:
    def column(*values: float) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64).unsqueeze(1)

    g = torch.randn(10, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    theta = torch.zeros(2, 3, dtype=torch.float64)
    state = Adam.start(theta)
    alone = [(theta[:1], Adam.start(theta[:1])), (theta[1:], Adam.start(theta[1:]))]
    values = [(0.1, 0.9, 0.99, 1e-8), (0.02, 0.5, 0.9, 1e-2)]
    for step in range(1, 11):
        columns = [column(first, second) for first, second in zip(*values, strict=True)]
        theta, state = Adam.update(theta, g[step - 1], state, hyper(step, *columns))
        alone = [
            Adam.update(t, g[step - 1, run : run + 1], s, hyper(step, *values[run]))
            for run, (t, s) in enumerate(alone)
        ]
    torch.testing.assert_close(theta, torch.cat([t for t, _ in alone]), rtol=1e-12, atol=1e-14)


def test_that_both_moments_start_at_zero() -> None:
    state = Adam.start(torch.ones(2, 3, dtype=torch.float64))
    assert set(state) == {"s", "r"}
    assert all(value.shape == (2, 3) and not value.any() for value in state.values())
