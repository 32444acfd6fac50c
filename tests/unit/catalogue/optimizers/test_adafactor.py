"""Adafactor against the paper and torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from optlab.catalogue.optimizers.adafactor import Adafactor
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout, Parameter

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


def rms(x: Any) -> float:
    return float(np.sqrt(np.mean(x**2)))


def test_that_the_steps_are_those_of_the_paper(follow: Follow, published: Follow) -> None:
    """Algorithms 4 and 5 with the sums of rows and columns, for a matrix and a vector."""
    lr, kappa, eps2, d = 0.3, 0.7, 0.02, 1.2
    sums = {"rows": np.zeros(3), "columns": np.zeros(4), "vector": np.zeros(4)}

    def step(theta: Any, gradient: Any, t: int) -> Any:
        g = gradient(theta)
        matrix, vector = g[:12].reshape(3, 4), g[12:]
        beta = 1 - t**-kappa
        for name, now in (
            ("rows", (matrix**2).sum(axis=1)),
            ("columns", (matrix**2).sum(axis=0)),
            ("vector", vector**2),
        ):
            sums[name] = beta * sums[name] + (1 - beta) * now
        estimate = np.outer(sums["rows"], sums["columns"]) / sums["rows"].sum()
        after = theta.copy()
        for part, tensor, second in (
            (slice(0, 12), matrix, estimate),
            (slice(12, 16), vector, sums["vector"]),
        ):
            u = tensor / np.sqrt(second)
            u = u / max(1.0, rms(u) / d)
            after[part] -= max(eps2, rms(theta[part])) * min(lr, t**-0.5) * u.reshape(-1)
        return after

    ours = follow(Adafactor, lr=lr, decay_power=-kappa, least_scale=eps2, clip=d)
    torch.testing.assert_close(ours, published(step), **EXACT)


def test_that_the_steps_are_those_of_torch(reference: Any) -> None:
    ours, theirs = reference("adafactor", Adafactor)
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_that_tensors_of_four_dimensions_and_runs_are_those_of_torch() -> None:
    """Two runs with a kernel and a scalar, at rates of their own, against torch run by run."""
    shapes = [(2, 3, 2, 2), ()]
    layout = Layout(tuple(Parameter(f"p{i}", s, "weight", 1, 1) for i, s in enumerate(shapes)))
    source = torch.Generator().manual_seed(2)
    theta = torch.randn(2, layout.total, dtype=torch.float64, generator=source)
    rates = torch.tensor([[0.5], [0.02]], dtype=torch.float64)
    modules = [
        [torch.nn.Parameter(part[run].clone()) for part in layout.split(theta)] for run in (0, 1)
    ]
    theirs = [torch.optim.Adafactor(p, lr=rates[run].item()) for run, p in enumerate(modules)]
    h = Hyperparameters(**{**Adafactor().values(), "lr": rates}, step=1, layout=layout)
    state = Adafactor.begin(theta, h)
    for step in range(1, 21):
        h.step = step
        g = torch.randn(2, layout.total, dtype=torch.float64, generator=source)
        theta, state = Adafactor.update(theta, g, state, h)
        for run, optimizer in enumerate(theirs):
            for p, part in zip(modules[run], layout.split(g), strict=True):
                p.grad = part[run].clone()
            optimizer.step()
    for run in (0, 1):
        flat = torch.cat([p.detach().reshape(-1) for p in modules[run]])
        torch.testing.assert_close(theta[run], flat, **EXACT)
