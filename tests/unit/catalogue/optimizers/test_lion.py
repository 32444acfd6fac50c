"""Lion: the published rule, step by step."""

from __future__ import annotations

import torch

from optlab.catalogue.optimizers.lion import Lion
from optlab.core.hyperparameters import Hyperparameters


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def hyper(step: int = 1, **values: float) -> Hyperparameters:
    return Hyperparameters(**{**Lion().values(), **values, "step": step})


def published(
    p: float, m: float, g: float, lr: float, beta1: float, beta2: float, weight_decay: float
) -> tuple[float, float]:
    """Program 1 of Chen et al.

    (2023) on plain numbers, in its own order: interpolate, sign, interpolate, decay, scale.
    """
    update = g * (1.0 - beta1) + m * beta1
    update = float(update > 0.0) - float(update < 0.0)
    m = g * (1.0 - beta2) + m * beta2
    update += p * weight_decay
    return p - lr * update, m


def test_that_200_steps_are_those_of_the_published_program() -> None:
    h = dict(lr=0.03, beta1=0.7, beta2=0.95, weight_decay=0.2)
    gradients = torch.randn(200, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    theta = numbers(1.0, -2.0, 0.5, 3.0)
    state = Lion.start(theta)
    mine = [(value, 0.0) for value in theta[0].tolist()]
    for step, g in enumerate(gradients, start=1):
        theta, state = Lion.update(theta, g.unsqueeze(0), state, hyper(step, **h))
        mine = [published(p, m, float(part), **h) for (p, m), part in zip(mine, g, strict=True)]
    torch.testing.assert_close(
        theta[0], torch.tensor([p for p, _ in mine], dtype=torch.float64), rtol=1e-12, atol=1e-14
    )
    torch.testing.assert_close(
        state["m"][0],
        torch.tensor([m for _, m in mine], dtype=torch.float64),
        rtol=1e-12,
        atol=1e-14,
    )


def test_that_a_step_is_the_rate_whatever_the_size_of_the_gradient() -> None:
    theta = numbers(0.0, 0.0, 0.0)
    after, _ = Lion.update(theta, numbers(1e-9, -4.0, 1e9), Lion.start(theta), hyper(lr=0.25))
    assert after.tolist() == [[-0.25, 0.25, -0.25]]


def test_that_step_and_memory_weigh_the_present_gradient_differently() -> None:
    """With m = 1 and g = −12 the step goes against m at β₁ = 0.9 (0.9 − 1.2 < 0), but the memory at
    β₂ = 0.99 keeps its sign (0.99 − 0.12).
    """
    after, state = Lion.update(numbers(0.0), numbers(-12.0), {"m": numbers(1.0)}, hyper(lr=1.0))
    assert after.item() == 1.0
    torch.testing.assert_close(state["m"], numbers(0.87), rtol=1e-12, atol=0.0)
