"""Schedule-free AdamW against the paper and its package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from optlab.catalogue.optimizers.schedule_free_adamw import ScheduleFreeAdamW

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


def test_that_the_steps_are_those_of_the_paper(follow: Follow, published: Follow) -> None:
    """Algorithm 1, with the correction of bias of the authors' reference implementation."""
    gamma, beta1, beta2, eps, decay = 0.05, 0.8, 0.95, 1e-6, 0.1
    v, total, z = np.zeros(16), 0.0, None

    def step(x: Any, gradient: Any, t: int) -> Any:
        nonlocal v, total, z
        z = x.copy() if z is None else z
        y = (1 - beta1) * z + beta1 * x
        g = gradient(y)
        v = beta2 * v + (1 - beta2) * g**2
        z = z - gamma * g / (np.sqrt(v / (1 - beta2**t)) + eps) - gamma * decay * y
        total += gamma**2
        c = gamma**2 / total
        return (1 - c) * x + c * z

    ours = follow(
        ScheduleFreeAdamW, lr=gamma, beta1=beta1, beta2=beta2, eps=eps, weight_decay=decay
    )
    torch.testing.assert_close(ours, published(step), **EXACT)


def test_that_the_steps_are_those_of_the_package_of_the_authors(reference: Any) -> None:
    ours, theirs = reference("schedule_free_adamw", ScheduleFreeAdamW)
    torch.testing.assert_close(ours, theirs, **EXACT)
