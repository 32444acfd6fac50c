"""AdEMAMix against the paper and pytorch-optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from optlab.catalogue.optimizers.adamw import AdamW
from optlab.catalogue.optimizers.ademamix import AdEMAMix

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


def test_that_the_steps_are_those_of_the_paper(follow: Follow, published: Follow) -> None:
    """Algorithm 1 with the schedulers of α and β₃, over a warm-up shorter than the run."""
    eta, b1, b2, b3, alpha, eps, decay, warmup = 0.02, 0.8, 0.95, 0.99, 4.0, 1e-6, 0.1, 40
    m1, m2, nu = np.zeros(16), np.zeros(16), np.zeros(16)

    def half_life(beta: float) -> float:
        return np.log(0.5) / np.log(beta)

    def step(theta: Any, gradient: Any, t: int) -> Any:
        nonlocal m1, m2, nu
        share = min(t / warmup, 1.0)
        # The half-life grows linearly from that of β₁ to that of β₃.
        b3_t = 0.5 ** (1 / ((1 - share) * half_life(b1) + share * half_life(b3)))
        g = gradient(theta)
        m1 = b1 * m1 + (1 - b1) * g
        m2 = b3_t * m2 + (1 - b3_t) * g
        nu = b2 * nu + (1 - b2) * g**2
        m1_hat, nu_hat = m1 / (1 - b1**t), nu / (1 - b2**t)
        mixed = (m1_hat + share * alpha * m2) / (np.sqrt(nu_hat) + eps)
        return theta - eta * (mixed + decay * theta)

    ours = follow(
        AdEMAMix,
        lr=eta,
        beta1=b1,
        beta2=b2,
        beta3=b3,
        alpha=alpha,
        warmup=warmup,
        eps=eps,
        weight_decay=decay,
    )
    torch.testing.assert_close(ours, published(step), **EXACT)


def test_that_the_steps_are_those_of_pytorch_optimizer(reference: Any) -> None:
    ours, theirs = reference("ademamix", AdEMAMix)
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_that_without_the_slow_average_it_is_adamw(follow: Follow) -> None:
    ours = follow(AdEMAMix, lr=0.05, alpha=0.0, weight_decay=0.01)
    torch.testing.assert_close(ours, follow(AdamW, lr=0.05), **EXACT)


def test_that_a_warm_up_from_no_momentum_is_finite(follow: Follow) -> None:
    """With ρ₁ = 0 the slow average starts as the gradient itself: ln 0 must not reach the step."""
    path = follow(AdEMAMix, lr=0.05, beta1=0.0, warmup=10, beta3=0.9)
    assert torch.isfinite(path).all()
    assert not torch.equal(path[5], follow(AdEMAMix, lr=0.05, beta1=0.0, beta3=0.9)[5])
