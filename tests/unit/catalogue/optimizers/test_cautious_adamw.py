"""Cautious AdamW against the paper and pytorch-optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from optlab.catalogue.optimizers.cautious_adamw import CautiousAdamW

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


TENSORS = (slice(0, 12), slice(12, 16))


def test_that_the_steps_are_those_of_the_paper(follow: Follow, published: Follow) -> None:
    """Algorithm 1: mask, then scale by the number of values over that of ones plus 1."""
    eta, b1, b2, eps, decay = 0.05, 0.8, 0.95, 1e-6, 0.1
    m, v = np.zeros(16), np.zeros(16)
    left_out = 0

    def step(w: Any, gradient: Any, t: int) -> Any:
        nonlocal m, v, left_out
        g = gradient(w)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        u = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        after = w.copy()
        for part in TENSORS:
            phi = (u[part] * g[part] > 0).astype(float)
            left_out += int((phi == 0).sum())
            scaled = eta * phi.size / (phi.sum() + 1)
            after[part] = w[part] - scaled * phi * u[part] - eta * decay * w[part]
        return after

    theirs = published(step)
    assert left_out > 100, "the mask does nothing"
    ours = follow(CautiousAdamW, lr=eta, beta1=b1, beta2=b2, eps=eps, weight_decay=decay)
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_that_the_steps_are_those_of_pytorch_optimizer(reference: Any) -> None:
    ours, theirs = reference("cautious_adamw", CautiousAdamW)
    torch.testing.assert_close(ours, theirs, **EXACT)
