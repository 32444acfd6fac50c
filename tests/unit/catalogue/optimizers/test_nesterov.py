"""Nesterov momentum against its closed form on a quadratic, and its two forms against each other."""

from __future__ import annotations

import pytest
import torch

from optlab.catalogue.optimizers.nesterov import Nesterov
from optlab.core.hyperparameters import Hyperparameters


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def hyper(form: str, lr: float = 0.1, momentum: float = 0.5) -> Hyperparameters:
    return Hyperparameters(lr=lr, momentum=momentum, form=form, step=1)


def test_that_the_gradient_is_wanted_a_share_of_the_velocity_ahead() -> None:
    point = Nesterov.point(numbers(1.0, 2.0), {"v": numbers(10.0, -4.0)}, hyper("notes"))
    assert point.tolist() == [[6.0, 0.0]]


def test_that_the_torch_form_wants_the_gradient_where_the_parameters_are() -> None:
    theta = numbers(1.0, 2.0)
    assert Nesterov.point(theta, {"v": numbers(10.0, -4.0)}, hyper("torch")) is theta


def test_that_a_critically_damped_quadratic_follows_its_closed_form() -> None:
    """With (1 + α)²(1 − εk) = 4α both roots of λ² − (1 + α)(1 − εk)λ + α(1 − εk) agree."""
    alpha, lr, start = 0.5, 0.1, 3.0
    shrink = 4.0 * alpha / (1.0 + alpha) ** 2  # 1 − εk
    curvature = (1.0 - shrink) / lr
    root = 0.5 * (1.0 + alpha) * shrink
    first = shrink * start
    theta, state = numbers(start), Nesterov.start(numbers(start))
    for step in range(1, 26):
        h = hyper("notes", lr, alpha)
        g = curvature * Nesterov.point(theta, state, h)
        theta, state = Nesterov.update(theta, g, state, h)
        assert theta.item() == pytest.approx(
            (start + step * (first / root - start)) * root**step, rel=1e-9
        )


def test_that_both_forms_follow_one_path_seen_from_two_points() -> None:
    """The torch form stores φ = θ + αv."""
    curvature = numbers(0.3, 4.0, 11.0)
    theta = phi = numbers(1.0, -2.0, 0.5)
    state, torch_state = Nesterov.start(theta), Nesterov.start(phi)
    notes, torchs = hyper("notes", 0.05, 0.9), hyper("torch", 0.05, 0.9)
    for _ in range(100):
        point = Nesterov.point(theta, state, notes)
        torch.testing.assert_close(point, phi, rtol=1e-12, atol=1e-13)
        theta, state = Nesterov.update(theta, curvature * point, state, notes)
        phi, torch_state = Nesterov.update(phi, curvature * phi, torch_state, torchs)


def test_that_the_torch_form_equals_torch_while_the_rate_falls() -> None:
    gradients = torch.randn(60, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    parameter = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))
    batch_objective = torch.optim.SGD([parameter], lr=0.1, momentum=0.8, nesterov=True)
    theta = parameter.detach().clone().unsqueeze(0)
    state = Nesterov.start(theta)
    for step, g in enumerate(gradients, start=1):
        batch_objective.param_groups[0]["lr"] = 0.1 / step
        parameter.grad = g
        batch_objective.step()
        theta, state = Nesterov.update(
            theta, g.unsqueeze(0), state, hyper("torch", 0.1 / step, 0.8)
        )
    torch.testing.assert_close(theta[0], parameter.detach(), rtol=1e-13, atol=1e-13)


def test_that_the_velocity_is_what_moves_the_parameters() -> None:
    theta, state = Nesterov.update(numbers(1.0), numbers(2.0), {"v": numbers(3.0)}, hyper("notes"))
    assert state["v"].item() == pytest.approx(0.5 * 3.0 - 0.1 * 2.0)
    assert theta.item() == pytest.approx(1.0 + 1.3)


def test_that_nesterov_starts_at_rest() -> None:
    state = Nesterov.start(torch.ones(2, 3, dtype=torch.float64))
    assert state["v"].shape == (2, 3)
    assert not state["v"].any()
