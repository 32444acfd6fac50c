"""AdaGrad, RMSProp in both forms, RMSProp with Nesterov momentum, AdaDelta: by hand and against
torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from optlab.catalogue.optimizers.adadelta import AdaDelta
from optlab.catalogue.optimizers.adagrad import AdaGrad
from optlab.catalogue.optimizers.base import Optimizer
from optlab.catalogue.optimizers.rmsprop import RMSProp
from optlab.catalogue.optimizers.rmsprop_nesterov import RMSPropNesterov
from optlab.core.hyperparameters import Hyperparameters


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def follow(rule: type[Optimizer], gradients: torch.Tensor, **h: Any) -> torch.Tensor:
    theta = torch.ones(1, gradients.shape[1], dtype=torch.float64)
    state = rule.start(theta)
    for step, g in enumerate(gradients, start=1):
        theta, state = rule.update(theta, g.unsqueeze(0), state, Hyperparameters(**h, step=step))
    return theta[0]


@pytest.mark.parametrize(
    ("rule", "h", "make"),
    [
        (AdaGrad, {"lr": 0.1, "eps": 0.01}, lambda p: torch.optim.Adagrad(p, 0.1, eps=0.01)),
        (
            RMSProp,
            {"lr": 0.01, "rho": 0.8, "eps": 0.01, "form": "torch"},
            lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.8, eps=0.01),
        ),
        (
            AdaDelta,
            {"lr": 0.7, "rho": 0.8, "eps": 0.01},
            lambda p: torch.optim.Adadelta(p, 0.7, rho=0.8, eps=0.01),
        ),
    ],
)
def test_that_the_rule_equals_torch(
    rule: type[Optimizer], h: dict[str, Any], make: Callable[..., torch.optim.Optimizer]
) -> None:
    gradients = torch.randn(200, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    parameter = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))
    batch_objective = make([parameter])
    for g in gradients:
        parameter.grad = g
        batch_objective.step()
    torch.testing.assert_close(
        follow(rule, gradients, **h), parameter.detach(), rtol=1e-12, atol=1e-12
    )


def test_that_adagrad_under_a_constant_gradient_slows_as_the_inverse_root_of_the_step() -> None:
    theta, state = numbers(0.0), AdaGrad.start(numbers(0.0))
    for step in range(1, 51):
        before = theta
        theta, state = AdaGrad.update(
            theta, numbers(2.0), state, Hyperparameters(lr=0.1, eps=0.5, step=step)
        )
        assert (before - theta).item() == pytest.approx(
            0.2 / (0.5 + 2.0 * math.sqrt(step)), rel=1e-12
        )


def test_that_rmsprop_of_the_notes_has_its_constant_inside_the_root() -> None:
    h = {"lr": 0.1, "rho": 0.75, "eps": 1.0, "step": 1}
    first, state = RMSProp.update(
        numbers(0.0), numbers(4.0), RMSProp.start(numbers(0.0)), Hyperparameters(**h, form="notes")
    )
    assert first.item() == pytest.approx(-0.4 / math.sqrt(1.0 + 4.0), rel=1e-12)
    second, state = RMSProp.update(first, numbers(-2.0), state, Hyperparameters(**h, form="notes"))
    assert state["r"].item() == pytest.approx(0.75 * 4.0 + 0.25 * 4.0)
    assert (second - first).item() == pytest.approx(0.2 / math.sqrt(1.0 + 4.0), rel=1e-12)
    outside, _ = RMSProp.update(
        numbers(0.0), numbers(4.0), RMSProp.start(numbers(0.0)), Hyperparameters(**h, form="torch")
    )
    assert outside.item() == pytest.approx(-0.4 / 3.0, rel=1e-12)


def test_that_rmsprop_with_nesterov_looks_ahead_and_keeps_the_rescaled_gradient_in_its_velocity() -> (
    None
):
    h = Hyperparameters(lr=0.1, rho=0.75, momentum=0.5, eps=1.0, step=1)
    point = RMSPropNesterov.point(numbers(1.0), {"r": numbers(0.0), "v": numbers(3.0)}, h)
    assert point.item() == 2.5
    theta, state = RMSPropNesterov.update(
        numbers(1.0), numbers(4.0), {"r": numbers(8.0), "v": numbers(3.0)}, h
    )
    assert state["r"].item() == pytest.approx(0.75 * 8.0 + 0.25 * 16.0)
    assert state["v"].item() == pytest.approx(1.5 - 0.4 / math.sqrt(11.0), rel=1e-12)
    assert theta.item() == pytest.approx(1.0 + state["v"].item(), rel=1e-12)


def test_that_without_momentum_it_is_rmsprop() -> None:
    gradients = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    h = {"lr": 0.01, "rho": 0.8, "eps": 1e-3}
    torch.testing.assert_close(
        follow(RMSPropNesterov, gradients, momentum=0.0, **h),
        follow(RMSProp, gradients, form="notes", **h),
        rtol=1e-12,
        atol=1e-13,
    )


def test_that_adadelta_starts_from_its_constant_alone() -> None:
    theta, state = AdaDelta.update(
        numbers(0.0),
        numbers(3.0),
        AdaDelta.start(numbers(0.0)),
        Hyperparameters(lr=1.0, rho=0.75, eps=0.5, step=1),
    )
    delta = -math.sqrt(0.5) / math.sqrt(0.25 * 9.0 + 0.5) * 3.0
    assert theta.item() == pytest.approx(delta, rel=1e-12)
    assert state["u"].item() == pytest.approx(0.25 * delta**2, rel=1e-12)


@pytest.mark.parametrize("rule", [AdaGrad, RMSProp, RMSPropNesterov, AdaDelta])
def test_that_every_average_starts_at_zero(rule: type[Optimizer]) -> None:
    state = rule.start(torch.ones(2, 3))
    assert state
    assert all(value.shape == (2, 3) and not value.any() for value in state.values())
