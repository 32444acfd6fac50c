"""SGD against its closed form on a quadratic."""

from __future__ import annotations

import torch

from optlab.catalogue.optimizers.sgd import SGD
from optlab.core.hyperparameters import Hyperparameters


def test_that_sgd_on_a_quadratic_shrinks_by_one_minus_lr_times_curvature_each_step() -> None:
    curvature = torch.tensor([[0.5, 3.0]], dtype=torch.float64)
    start = torch.tensor([[2.0, -1.0]], dtype=torch.float64)
    theta, state = start, SGD.start(start)
    for step in range(1, 41):
        theta, state = SGD.update(
            theta, curvature * theta, state, Hyperparameters(lr=0.1, step=step)
        )
    torch.testing.assert_close(theta, start * (1.0 - 0.1 * curvature) ** 40, rtol=1e-12, atol=0.0)


def test_that_a_column_of_rates_gives_each_run_its_own() -> None:
    theta = torch.ones(2, 3, dtype=torch.float64)
    g = torch.full((2, 3), 2.0, dtype=torch.float64)
    h = Hyperparameters(lr=torch.tensor([[0.1], [0.25]], dtype=torch.float64), step=1)
    after, _ = SGD.update(theta, g, {}, h)
    assert after.tolist() == [[0.8] * 3, [0.5] * 3]


def test_that_sgd_remembers_nothing() -> None:
    assert SGD.start(torch.ones(1, 2)) == {}
