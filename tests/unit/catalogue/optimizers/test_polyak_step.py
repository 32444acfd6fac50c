"""The Polyak step against the paper and optax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from optlab.catalogue.optimizers.polyak_step import PolyakStep

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


def test_that_the_steps_are_those_of_the_paper(
    follow: Follow, published: Follow, problem: Any
) -> None:
    """SPSmax of Loizou et al. (2021)."""
    bound, c, minimum = 0.4, 0.9, 4.6
    bounded = []

    def step(x: Any, gradient: Any, t: int) -> Any:
        g = gradient(x)
        f = problem.value(torch.from_numpy(x), t).item()
        rate = (f - minimum) / (c * np.linalg.norm(g) ** 2)
        bounded.append(rate > bound)
        return x - min(rate, bound) * g

    theirs = published(step)
    assert 5 < sum(bounded) < 55
    ours = follow(PolyakStep, lr=bound, factor=c, minimum=minimum)
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_that_the_steps_are_those_of_optax(reference: Any) -> None:
    ours, theirs = reference("polyak_step", PolyakStep)
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_that_nothing_moves_at_the_minimum_or_below_the_given_one(descend: Any) -> None:
    for at, minimum in ((0.0, 0.0), (0.0, -1.0), (1.0, 1e9)):
        start = torch.full((1, 3), at, dtype=torch.float64)
        outcomes, _ = descend(
            PolyakStep, lambda theta: 0.5 * theta.square().sum(dim=1), start, 1, minimum=minimum
        )
        assert torch.equal(outcomes[0].theta, start)
