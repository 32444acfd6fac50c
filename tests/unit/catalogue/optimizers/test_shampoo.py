"""Shampoo against the paper and pytorch-optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from optlab.catalogue.optimizers.shampoo import Shampoo
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout, Parameter

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


def power(matrix: Any, exponent: float) -> Any:
    """Roots by the singular value decomposition, which does not assume symmetry."""
    u, values, vt = np.linalg.svd(matrix)
    return (u * values**exponent) @ vt


def test_that_the_steps_are_those_of_the_paper(follow: Follow, published: Follow) -> None:
    """Algorithm 1 for the matrix 3 × 4, and AdaGrad with the full matrix for the vector."""
    eta, eps = 0.3, 1e-4
    left, right, full = eps * np.eye(3), eps * np.eye(4), eps * np.eye(4)

    def step(theta: Any, gradient: Any, t: int) -> Any:
        nonlocal left, right, full
        g = gradient(theta)
        matrix, vector = g[:12].reshape(3, 4), g[12:]
        left = left + matrix @ matrix.T
        right = right + matrix.T @ matrix
        full = full + np.outer(vector, vector)
        moved = power(left, -0.25) @ matrix @ power(right, -0.25)
        return theta - eta * np.concatenate([moved.reshape(-1), power(full, -0.5) @ vector])

    ours = follow(Shampoo, lr=eta, eps=eps)
    torch.testing.assert_close(ours, published(step), rtol=1e-9, atol=1e-11)


def test_that_the_steps_are_those_of_pytorch_optimizer(reference: Any) -> None:
    ours, theirs = reference("shampoo", Shampoo)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


def test_that_a_tensor_of_three_dimensions_has_roots_of_order_six() -> None:
    layout = Layout((Parameter("kernel", (2, 3, 4), "weight", 1, 1),))
    g = torch.randn(2, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    h = Hyperparameters(**{**Shampoo().values(), "lr": 1.0, "eps": 0.1}, step=1, layout=layout)
    theta = torch.zeros_like(g)
    after, _ = Shampoo.update(theta, g, Shampoo.begin(theta, h), h)
    for run in range(2):
        tensor = g[run].reshape(2, 3, 4).numpy()
        expected = tensor
        for axis, size in enumerate(tensor.shape):
            unfolded = np.moveaxis(tensor, axis, 0).reshape(size, -1)
            root = power(0.1 * np.eye(size) + unfolded @ unfolded.T, -1 / 6)
            expected = np.moveaxis(np.tensordot(root, expected, axes=(1, axis)), 0, axis)
        torch.testing.assert_close(
            after[run], -torch.from_numpy(expected.copy()).reshape(-1), rtol=1e-10, atol=1e-11
        )


def test_that_long_dimensions_and_steps_between_roots_keep_what_they_have(follow: Follow) -> None:
    """With a limit of 3 only the rows of the matrix have a root; it is that of the first step."""
    path = follow(Shampoo, lr=0.1, eps=1e-4, largest=3, period=1000)
    every = follow(Shampoo, lr=0.1, eps=1e-4, largest=3)
    assert torch.equal(path[0], every[0]) and not torch.allclose(path[1], every[1])
    assert torch.equal(path[:, 12:], every[:, 12:]), "the vector of 4 is not preconditioned"


def test_that_moments_that_overflow_give_nan_instead_of_an_error() -> None:
    layout = Layout((Parameter("w", (2, 2), "weight", 1, 1),))
    theta = torch.ones(2, 4, dtype=torch.float64)
    g = torch.ones_like(theta)
    g[0, 0] = 1e200
    h = Hyperparameters(**Shampoo().values(), step=1, layout=layout)
    after, _ = Shampoo.update(theta, g, Shampoo.begin(theta, h), h)
    assert after[0].isnan().all() and torch.isfinite(after[1]).all()
