"""SGD with line search against the paper and optax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from optlab.catalogue.optimizers.sgd_line_search import SGDLineSearch

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


def test_that_the_steps_are_those_of_the_paper(
    follow: Follow, published: Follow, problem: Any
) -> None:
    """Algorithm 1 of Vaswani et al. (2019), with the last rate times γ as the first trial."""
    largest, c, beta, gamma = 1.4, 0.55, 0.7, 1.5
    eta, rejected = largest, []

    def step(w: Any, gradient: Any, t: int) -> Any:
        nonlocal eta

        def f(at: Any) -> float:
            return float(problem.value(torch.from_numpy(at), t))

        g = gradient(w)
        eta = min(gamma * eta, largest)
        rejected.append(0)
        while f(w - eta * g) > f(w) - c * eta * (g @ g):
            eta = beta * eta
            rejected[-1] += 1
        return w - eta * g

    theirs = published(step)
    assert max(rejected) >= 2 and min(rejected) == 0
    ours = follow(SGDLineSearch, lr=largest, decrease=c, shrink=beta, grow=gamma)
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_that_the_steps_are_those_of_optax(reference: Any) -> None:
    ours, theirs = reference("sgd_line_search", SGDLineSearch)
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_that_a_search_that_finds_nothing_keeps_the_parameters_and_says_so(descend: Any) -> None:
    theta = torch.ones(2, 1, dtype=torch.float64)
    outcomes, _ = descend(
        SGDLineSearch, lambda at: 1e6 * at.square().sum(dim=1), theta, 2, trials=3
    )
    assert torch.equal(outcomes[0].theta, theta)
    assert all("none of 3 trials" in note for note in outcomes[0].notes)
    # The next step goes on from the shortened rate instead of trying the same ones again.
    rates = [outcome.state["rate"][0].item() for outcome in outcomes]
    np.testing.assert_allclose(rates, [0.8**3, 1.5 * 0.8**6], rtol=1e-12)
