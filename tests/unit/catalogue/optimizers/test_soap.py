"""SOAP against the paper and pytorch-optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from optlab.catalogue.optimizers.soap import SOAP
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout, Parameter

Follow = Callable[..., torch.Tensor]


def test_that_the_steps_are_those_of_the_paper(follow: Follow, published: Follow) -> None:
    """Algorithms 3 and 4 for the matrix 3 × 4, Adam for the vector; the first step only starts."""
    lr, b1, b2, eps, decay, frequency = 0.05, 0.8, 0.9, 1e-6, 0.1, 7
    left, right = np.zeros((3, 3)), np.zeros((4, 4))
    q_left, q_right = np.eye(3), np.eye(4)
    m, v = np.zeros(16), np.zeros(16)

    def eigenvectors(matrix: Any) -> Any:
        """By singular values, the largest first; for a moment they are the eigenvectors."""
        return np.linalg.svd(matrix)[0]

    def refreshed(matrix: Any, q: Any) -> tuple[Any, Any]:
        product = matrix @ q
        order = np.argsort(-np.sum(q * product, axis=0))
        return np.linalg.qr(product[:, order])[0], order

    def step(theta: Any, gradient: Any, t: int) -> Any:
        nonlocal left, right, q_left, q_right, m, v
        g = gradient(theta)
        matrix = g[:12].reshape(3, 4)
        if t > 1:
            m = b1 * m + (1 - b1) * g
            rotated = np.concatenate([(q_left.T @ matrix @ q_right).reshape(-1), g[12:]])
            v = b2 * v + (1 - b2) * rotated**2
            moment = q_left.T @ m[:12].reshape(3, 4) @ q_right
            n = np.concatenate([moment.reshape(-1), m[12:]]) / (np.sqrt(v) + eps)
            n = np.concatenate([(q_left @ n[:12].reshape(3, 4) @ q_right.T).reshape(-1), n[12:]])
            theta = theta - lr * np.sqrt(1 - b2 ** (t - 1)) / (1 - b1 ** (t - 1)) * n
            theta = (1 - lr * decay) * theta
        left = b2 * left + (1 - b2) * matrix @ matrix.T
        right = b2 * right + (1 - b2) * matrix.T @ matrix
        if t == 1:
            q_left, q_right = eigenvectors(left), eigenvectors(right)
        elif (t - 1) % frequency == 0:
            (q_left, rows), (q_right, columns) = refreshed(left, q_left), refreshed(right, q_right)
            v = np.concatenate([v[:12].reshape(3, 4)[rows][:, columns].reshape(-1), v[12:]])
        return theta

    ours = follow(SOAP, lr=lr, beta1=b1, beta2=b2, eps=eps, weight_decay=decay, period=frequency)
    torch.testing.assert_close(ours, published(step), rtol=1e-9, atol=1e-10)


def test_that_the_steps_are_those_of_pytorch_optimizer(reference: Any) -> None:
    ours, theirs = reference("soap", SOAP)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


def test_that_the_basis_of_the_null_space_does_not_depend_on_rounding() -> None:
    """A gradient of rank 1 of 6 × 5, and the same with its last bits changed."""
    layout = Layout((Parameter("w", (6, 5), "weight", 1, 1),))
    source = torch.Generator().manual_seed(1)
    u, w = (torch.randn(n, dtype=torch.float64, generator=source) for n in (6, 5))
    g = torch.outer(u, w).reshape(1, 30).repeat(2, 1)
    g[1] *= 1.0 + 1e-15 * torch.randn(30, dtype=torch.float64, generator=source)
    h = Hyperparameters(**SOAP().values(), step=1, layout=layout)
    theta = torch.zeros_like(g)
    _, state = SOAP.update(theta, g, SOAP.begin(theta, h), h)
    left = state["bases"][:, :36].view(2, 6, 6)
    eye = torch.eye(6, dtype=torch.float64).expand(2, 6, 6)
    torch.testing.assert_close(left.transpose(1, 2) @ left, eye, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(left[0].abs(), left[1].abs(), rtol=0.0, atol=1e-12)


def test_that_dimensions_above_the_limit_and_runs_that_diverge_disturb_no_other() -> None:
    layout = Layout((Parameter("w", (2, 3), "weight", 1, 1),))
    theta = torch.ones(2, 6, dtype=torch.float64)
    h = Hyperparameters(**{**SOAP().values(), "largest": 2, "period": 1}, layout=layout, step=1)
    state, alone = SOAP.begin(theta, h), SOAP.begin(theta[1:], h)
    assert state["bases"].shape == (2, 4), "only the two rows have a basis"
    single = theta[1:]
    for step in range(1, 5):
        h.step = step
        g = theta * torch.arange(1.0, 7.0, dtype=torch.float64)
        if step > 1:
            g[0, 0] = torch.nan
        theta, state = SOAP.update(theta, g, state, h)
        single, alone = SOAP.update(single, g[1:], alone, h)
    assert theta[0].isnan().any()
    torch.testing.assert_close(theta[1:], single, rtol=1e-13, atol=1e-13)
    assert not torch.equal(single, torch.ones_like(single))
