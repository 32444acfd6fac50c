"""Prodigy against the paper and the package of its authors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import optlab.optim
from optlab.catalogue.optimizers.prodigy import Prodigy
from optlab.core.hyperparameters import Hyperparameters

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


def test_that_the_steps_are_those_of_the_paper(follow: Follow, published: Follow) -> None:
    """Algorithm 4: Adam with the distance d, its numerator and the weighted sum of gradients.

    The paper weighs by γ d² where the package weighs by γ d²/d₀, which cancels.
    """
    gamma, b1, b2, eps, d0 = 0.8, 0.8, 0.95, 1e-6, 1e-3
    b3 = np.sqrt(b2)
    m, v, s, r, d = np.zeros(16), np.zeros(16), np.zeros(16), 0.0, d0
    start: Any = None

    def step(x: Any, gradient: Any, t: int) -> Any:
        nonlocal m, v, s, r, d, start
        start = x.copy() if start is None else start
        g = gradient(x)
        m = b1 * m + (1 - b1) * d * g
        v = b2 * v + (1 - b2) * d**2 * g**2
        r = b3 * r + gamma * d**2 * (g @ (start - x))
        s = b3 * s + gamma * d**2 * g
        larger = max(d, r / np.abs(s).sum())
        x = x - gamma * d * m / (np.sqrt(v) + larger * eps)
        d = larger
        return x

    theirs = published(step)
    assert d > 0.5, "the distance must have grown from 0.001"
    ours = follow(Prodigy, lr=gamma, beta1=b1, beta2=b2, eps=eps, d0=d0)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("form", ["prodigy", "prodigy_safe"])
def test_that_the_steps_are_those_of_the_package_of_the_authors(reference: Any, form: str) -> None:
    ours, theirs = reference(form, Prodigy)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


def test_that_nothing_moves_before_the_first_gradient() -> None:
    theta = torch.ones(1, 3, dtype=torch.float64)
    h = Hyperparameters(**Prodigy().values(), step=1)
    state = Prodigy.begin(theta, h)
    after, state = Prodigy.update(theta, torch.zeros_like(theta), state, h)
    assert torch.equal(after, theta)
    assert state["d"].item() == 1e-6
    h.step = 2
    after, state = Prodigy.update(theta, torch.ones_like(theta), state, h)
    assert torch.isfinite(after).all() and not torch.equal(after, theta)


def test_that_the_script_face_shares_the_distance_over_all_tensors_of_a_group() -> None:
    parameters = [torch.nn.Parameter(torch.full((n,), 0.5).double()) for n in (1, 3)]
    optimizer = optlab.optim.Prodigy(parameters)
    for _ in range(20):
        for p in parameters:
            p.grad = p.detach() - len(p)
        optimizer.step()
    distances = [optimizer.state[p]["d"] for p in parameters]
    assert distances[0].item() == distances[1].item() > 1e-3
    again = optlab.optim.Prodigy([torch.nn.Parameter(p.detach().clone()) for p in parameters])
    again.load_state_dict(optimizer.state_dict())
    for p, q in zip(parameters, again.param_groups[0]["params"], strict=True):
        p.grad = q.grad = torch.ones_like(p)
    optimizer.step()
    again.step()
    for p, q in zip(parameters, again.param_groups[0]["params"], strict=True):
        assert torch.equal(p, q)
