"""Adan against the paper and pytorch-optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from optlab.catalogue.optimizers.adan import Adan

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


def test_that_the_steps_are_those_of_the_paper(follow: Follow, published: Follow) -> None:
    """Algorithm 1 in its own notation, β = 1 − ρ, with the corrections of bias."""
    eta, b1, b2, b3, eps, decay = 0.02, 0.1, 0.2, 0.05, 1e-6, 0.1
    m, v, n = np.zeros(16), np.zeros(16), np.zeros(16)
    before: Any = None

    def step(theta: Any, gradient: Any, t: int) -> Any:
        nonlocal m, v, n, before
        g = gradient(theta)
        change = np.zeros(16) if before is None else g - before
        m = (1 - b1) * m + b1 * g
        v = (1 - b2) * v + b2 * change
        n = (1 - b3) * n + b3 * (g + (1 - b2) * change) ** 2
        before = g
        c1, c2, c3 = 1 - (1 - b1) ** t, 1 - (1 - b2) ** t, 1 - (1 - b3) ** t
        step_size = eta / (np.sqrt(n / c3) + eps)
        return (theta - step_size * (m / c1 + (1 - b2) * v / c2)) / (1 + decay * eta)

    ours = follow(
        Adan, lr=eta, beta1=1 - b1, beta2=1 - b2, beta3=1 - b3, eps=eps, weight_decay=decay
    )
    torch.testing.assert_close(ours, published(step), **EXACT)


def test_that_the_steps_are_those_of_pytorch_optimizer(reference: Any) -> None:
    ours, theirs = reference("adan", Adan)
    torch.testing.assert_close(ours, theirs, **EXACT)
