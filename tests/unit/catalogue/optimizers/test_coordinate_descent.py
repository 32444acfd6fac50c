"""Coordinate descent against Gauss and Seidel, and by its own rule."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optlab.catalogue.optimizers.coordinate_descent import CoordinateDescent


@pytest.mark.parametrize("first", [0.3, 0.05, 0.02])
def test_that_exact_steps_in_single_coordinates_are_gauss_seidel(
    descend: Any, quadratic: Any, first: float
) -> None:
    a, b, function = quadratic(4)
    theta = torch.tensor([[1.0, -2.0, 0.5, 3.0]], dtype=torch.float64)
    outcomes, _ = descend(CoordinateDescent, function, theta, 12, length="exact", lr=first)
    x = theta[0].clone()
    for step, outcome in enumerate(outcomes):
        i = step % 4
        x[i] = (b[i] - a[i] @ x + a[i, i] * x[i]) / a[i, i]
        torch.testing.assert_close(outcome.theta[0], x, rtol=1e-7, atol=1e-9)


def test_that_an_exact_step_in_a_block_minimizes_along_the_blocks_gradient(
    descend: Any, quadratic: Any
) -> None:
    a, _, function = quadratic(5)
    theta = torch.tensor([[1.0, -2.0, 0.5, 3.0, -1.0]], dtype=torch.float64)
    outcomes, gradients = descend(CoordinateDescent, function, theta, 6, length="exact", block=2)
    for step, outcome in enumerate(outcomes):
        g = torch.zeros(5, dtype=torch.float64)
        here = slice(2 * (step % 3), 2 * (step % 3) + 2)
        g[here] = outcome.gradient[0, here]
        torch.testing.assert_close(
            outcome.theta[0], theta[0] - float(g @ g / (g @ a @ g)) * g, rtol=1e-7, atol=1e-9
        )
        theta = outcome.theta
    assert gradients <= 4 * 6


@pytest.mark.parametrize("block", [1, 2, 3, 7])
def test_that_a_step_with_a_rate_changes_one_block_by_its_gradient_and_blocks_take_turns(
    descend: Any, quadratic: Any, block: int
) -> None:
    _, _, function = quadratic(5)
    theta = torch.tensor([[1.0, -2.0, 0.5, 3.0, -1.0]], dtype=torch.float64)
    outcomes, gradients = descend(CoordinateDescent, function, theta, 10, block=block, lr=0.01)
    blocks = -(-5 // block)
    for step, outcome in enumerate(outcomes):
        expected = theta.clone()
        here = slice(block * (step % blocks), block * (step % blocks) + block)
        expected[:, here] -= 0.01 * outcome.gradient[:, here]
        torch.testing.assert_close(outcome.theta, expected, rtol=1e-14, atol=0.0)
        theta = outcome.theta
    assert gradients == 10


def test_that_random_order_draws_every_block_equally_often_and_each_run_by_itself(
    descend: Any,
) -> None:
    function = lambda theta: theta.sum(dim=1)  # noqa: E731 - one formula among others
    outcomes, _ = descend(
        CoordinateDescent,
        function,
        torch.zeros(2, 4, dtype=torch.float64),
        1200,
        order="random",
        lr=1.0,
    )
    counts = -outcomes[-1].theta
    assert torch.equal(counts.sum(dim=1), torch.tensor([1200.0, 1200.0], dtype=torch.float64))
    assert float((counts - 300.0).abs().max()) < 5.0 * (1200 * 0.25 * 0.75) ** 0.5
    assert not torch.equal(counts[0], counts[1])
