"""LAMB against the paper and optax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from optlab.catalogue.optimizers.lamb import LAMB
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout, Parameter

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


TENSORS = (slice(0, 12), slice(12, 16))


def test_that_the_steps_are_those_of_the_paper(follow: Follow, published: Follow) -> None:
    """Algorithm 2 with φ(z) = z: the matrix and the vector each have a trust ratio."""
    eta, b1, b2, eps, decay = 0.05, 0.8, 0.95, 1e-6, 0.1
    m, v = np.zeros(16), np.zeros(16)

    def step(x: Any, gradient: Any, t: int) -> Any:
        nonlocal m, v
        g = gradient(x)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        r = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        after = x.copy()
        for part in TENSORS:
            u = r[part] + decay * x[part]
            after[part] -= eta * np.linalg.norm(x[part]) / np.linalg.norm(u) * u
        return after

    ours = follow(LAMB, lr=eta, beta1=b1, beta2=b2, eps=eps, weight_decay=decay)
    torch.testing.assert_close(ours, published(step), **EXACT)


def test_that_the_steps_are_those_of_optax(reference: Any) -> None:
    ours, theirs = reference("lamb", LAMB)
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_that_a_tensor_of_zeros_takes_the_step_of_adam() -> None:
    layout = Layout((Parameter("w", (2,), "weight", 1, 1), Parameter("b", (2,), "bias", 1, 1)))
    theta = torch.tensor([[3.0, 4.0, 0.0, 0.0]], dtype=torch.float64)
    g = torch.tensor([[1.0, -1.0, 2.0, 0.0]], dtype=torch.float64)
    h = Hyperparameters(**{**LAMB().values(), "eps": 1e-12}, step=1, layout=layout)
    after, _ = LAMB.update(theta, g, LAMB.start(theta), h)
    # Adam's first step is the sign; the weights have norm 5 and the sign has √2.
    moved = 0.01 * 5.0 / 2**0.5
    expected = torch.tensor([[3.0 - moved, 4.0 + moved, -0.01, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(after, expected, rtol=1e-9, atol=1e-12)
