"""Hessian-free optimization against the papers in NumPy, and against solutions of least squares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from optlab.catalogue.optimizers.hessian_free import (
    HessianFree,
    _backtracked,
    _ended,
    _Iterate,
    _iterates,
)
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer

N = 40


def residuals(theta: torch.Tensor) -> torch.Tensor:
    """A network with one hidden layer of four units, on 60 points of a curve: 40 parameters."""
    t = torch.linspace(-2.0, 2.0, 60, dtype=torch.float64)
    w, b, v, c = theta[:, :N].unflatten(1, (4, 10)).unbind(1)
    hidden = torch.tanh(3.0 * w.unsqueeze(2) * t + b.unsqueeze(2))
    outputs = ((1.0 + v.unsqueeze(2)) * hidden + 0.1 * c.unsqueeze(2)).mean(dim=1)
    return outputs - torch.sin(2.0 * t)


def start() -> torch.Tensor:
    source = torch.Generator().manual_seed(7)
    return torch.randn(1, N, dtype=torch.float64, generator=source)


class Published:
    """The algorithm of the papers, in NumPy, on a function with a dense Gauss–Newton matrix."""

    def __init__(self, objective: Any, damping: float, warm: float, most: int) -> None:
        self.objective, self.damping, self.warm, self.most = objective, damping, warm, most
        self.last = np.zeros(N)
        self.lengths: list[float] = []
        self.solves: list[int] = []
        self.chosen: list[bool] = []

    def f(self, theta: Any) -> float:
        return float(self.objective.loss(torch.tensor(theta).unsqueeze(0)))

    def cg(self, b: Any, a: Any, x: Any) -> list[Any]:
        """Conjugate gradients with Martens' stopping rule; the iterates to backtrack over."""
        values, kept, due = [], [], [math.ceil(1.3**j) for j in range(40)]
        r = b - a @ x
        p = r.copy()
        for i in range(1, self.most + 1):
            alpha = (r @ r) / (p @ a @ p)
            x = x + alpha * p
            new = r - alpha * (a @ p)
            p = new + (new @ new) / (r @ r) * p
            r = new
            values.append(0.5 * x @ a @ x - b @ x)
            k = max(10, int(0.1 * i))
            done = (
                i > k and values[-1] < 0 and (values[-1] - values[-1 - k]) / values[-1] < k * 5e-4
            )
            if i in due or done or i == self.most:
                kept.append(x)
            if done:
                break
        self.solves.append(i)
        return kept

    def step(self, theta: Any) -> Any:
        row = torch.tensor(theta).unsqueeze(0)
        g = self.objective.gradient(row)[1][0].numpy()
        matrix = self.objective.gauss_newton(row)[0].numpy()
        kept = self.cg(-g, matrix + self.damping * np.eye(N), self.warm * self.last)
        d = kept.pop()
        first = d
        # The papers compare exactly, and so stop among iterates that differ by rounding alone.
        same = 8.0 * np.finfo(float).eps * abs(self.f(theta))
        while kept and self.f(theta + kept[-1]) <= self.f(theta + d) + same:
            d = kept.pop()
        self.chosen.append(d is not first)
        rho = (self.f(theta + d) - self.f(theta)) / (g @ d + 0.5 * d @ matrix @ d)
        if rho < 0.25:
            self.damping *= 1.5
        elif rho > 0.75:
            self.damping /= 1.5
        t = 1.0
        while self.f(theta + t * d) > self.f(theta) + 0.01 * t * (g @ d):
            t *= 0.8
        self.last = d
        self.lengths.append(t)
        return theta + t * d


@pytest.mark.parametrize(
    ("warm", "damping", "most", "steps"),
    [(0.95, 0.1, 30, 12), (1.0, 1e-5, 6, 11), (0.0, 1e-3, 8, 3)],
)
def test_that_the_steps_are_those_of_the_papers(
    least_squares: Any, walk: Any, warm: float, damping: float, most: int, steps: int
) -> None:
    """Few steps: conjugate gradients on so hard a problem amplify rounding."""
    objective = least_squares(residuals)
    published = Published(objective, damping, warm, most)
    theta = start()[0].numpy()
    outcomes = walk(
        HessianFree, objective, start(), steps, warm=warm, damping=damping, iterations=most
    )
    for outcome in outcomes:
        theta = published.step(theta)
        np.testing.assert_allclose(outcome.theta[0].numpy(), theta, rtol=1e-5, atol=1e-6)
        assert float(outcome.state["damping"]) == pytest.approx(published.damping, rel=1e-9)
    # What the comparison went through.
    assert {True, False} <= set(published.chosen) and min(published.lengths) < 1.0
    assert (max(published.solves) < most) == (most == 30)


def test_that_rounding_errors_do_not_end_the_backtracking() -> None:
    """Iterates that have converged would else decide by their last bit, which ranks or another
    processor change.
    """
    values = [0.95, 0.9, 1.0, 1.0 + 2e-16, 1.0 - 1e-16]

    class Objective:
        def loss(self, theta: torch.Tensor) -> torch.Tensor:
            return torch.tensor([values[int(theta[0, 0])]], dtype=torch.float64)

    iterates = [_Iterate(torch.tensor([[float(number)]]), float(number)) for number in range(5)]
    theta = torch.zeros(1, 1)
    chosen = _backtracked(theta, Objective(), iterates, 8 * np.finfo(float).eps)  # type: ignore[arg-type]
    assert (float(chosen[0]), *chosen[1:]) == (1.0, 1.0, 0.9)


def test_that_iterates_are_spaced_and_carry_their_curvature() -> None:
    source = torch.Generator().manual_seed(0)
    root = torch.randn(60, 50, dtype=torch.float64, generator=source)
    matrix = root.T @ root / 60
    g = torch.randn(1, 50, dtype=torch.float64, generator=source)
    seen = []

    def product(v: torch.Tensor) -> torch.Tensor:
        seen.append(v)
        return v @ matrix

    found = _iterates(product, g, 0.01, torch.zeros_like(g), 1000)
    published = Published(None, 0.01, 0.0, 1000)
    dense = matrix.numpy() + 0.01 * np.eye(50)
    published.cg(-g[0].numpy(), dense, np.zeros(50))
    assert [len(seen)] == published.solves and len(seen) < 50, "it ends for want of progress"
    assert len(found) == len({math.ceil(1.3**j) for j in range(60)} & {*range(len(seen))}) + 1
    for iterate in found:
        curvature = float((iterate.x * (iterate.x @ matrix)).sum())
        assert iterate.curvature == pytest.approx(curvature, rel=1e-9)
    exact = -torch.linalg.solve(matrix + 0.01 * torch.eye(50, dtype=torch.float64), g[0])
    close = float((found[-1].x[0] - exact).norm() / exact.norm())
    assert close < 0.1


@pytest.mark.parametrize("length", [1.0, 3.0])
def test_that_a_warm_start_ends_where_that_of_the_paper_does(length: float) -> None:
    """From zero the value of the model is half of gᵀx, and either half would end it there."""
    source, other = torch.Generator().manual_seed(0), torch.Generator().manual_seed(9)
    spread = torch.logspace(0, -2, 50, dtype=torch.float64)
    root = torch.randn(60, 50, dtype=torch.float64, generator=source) * spread
    matrix = root.T @ root / 60
    g = torch.randn(1, 50, dtype=torch.float64, generator=source)
    warm = length * torch.randn(1, 50, dtype=torch.float64, generator=other)
    calls = []

    def product(v: torch.Tensor) -> torch.Tensor:
        calls.append(v)
        return v @ matrix

    _iterates(product, g, 0.01, warm, 1000)
    published = Published(None, 0.01, 0.0, 1000)
    published.cg(-g[0].numpy(), matrix.numpy() + 0.01 * np.eye(50), warm[0].numpy())
    assert [len(calls) - 1] == published.solves, "one product is for the start"


def test_that_the_iterate_before_a_flat_direction_is_the_last_one() -> None:
    """Where it is not one of those that are spaced, it is kept all the same, and once."""
    source = torch.Generator().manual_seed(1)
    root = torch.randn(30, 20, dtype=torch.float64, generator=source)
    matrix, damping = root.T @ root / 30, 0.5
    g = torch.randn(1, 20, dtype=torch.float64, generator=source)
    until = 6
    assert until not in {math.ceil(1.3**j) for j in range(60)}
    calls = []

    def product(v: torch.Tensor) -> torch.Tensor:
        calls.append(v)
        return v @ matrix if len(calls) <= until else -damping * v

    found = _iterates(product, g, damping, torch.zeros_like(g), 1000)
    assert len(calls) == until + 1
    whole = _iterates(lambda v: v @ matrix, g, damping, torch.zeros_like(g), until)
    assert torch.equal(found[-1].x, whole[-1].x)
    assert len(found) == len(whole) and found[-1].curvature == pytest.approx(whole[-1].curvature)
    assert found[-1].curvature == pytest.approx(float((found[-1].x @ matrix * found[-1].x).sum()))


@pytest.mark.parametrize(("number", "window"), [(11, 10), (60, 10), (200, 20), (1000, 100)])
def test_that_the_progress_of_a_window_ends_conjugate_gradients(number: int, window: int) -> None:
    """Martens (2010), section 4.4: over the last tenth of the iterations, at least ten of them."""
    for excess, ends in ((0.98, True), (1.02, False)):
        progress = window * 5e-4 * excess
        # The value at the end is −1, and 1 − progress of it where the window begins.
        values = [0.0] * (number - 1 - window) + [-1.0 + progress] * window + [-1.0]
        assert _ended(values) is ends
    assert not _ended([-1.0] * window if window == 10 else [-1.0] * 10)
    assert not _ended([0.25] * number), "it has not gone below the start"


def test_that_damping_grows_where_the_objective_is_not_finite(
    least_squares: Any, walk: Any
) -> None:
    class Walled(least_squares):  # type: ignore[misc]
        """A loss that is infinite away from the start."""

        def loss(self, theta: torch.Tensor) -> torch.Tensor:
            away = (theta - start()).abs().sum(dim=1) > 1e-9
            return torch.where(away, math.inf, super().loss(theta))

    (first,) = walk(HessianFree, Walled(residuals), start(), 1)
    assert torch.equal(first.theta, start())
    assert float(first.state["damping"]) == pytest.approx(0.1 * 1.5)


def trained(**optimizer: Any) -> Trainer:
    return Trainer(
        [
            Experiment.from_dict(
                {
                    "precision": "float64",
                    "device": "cpu",
                    "dataset": {"name": "diabetes"},
                    "model": {"name": "linear"},
                    "loss": {"name": "squared_error", "l2": 0.3},
                    "optimizer": {"name": "hessian_free", **optimizer},
                    "batches": {"name": "never_shuffled", "size": 0},
                }
            )
        ]
    )


def test_that_it_converges_to_the_solution_of_ridge_regression() -> None:
    trainer = trained(damping=1e-3)
    x, y = (part[0].numpy() for part in trainer.batch_of(0))
    for _ in range(30):
        trainer.advance()
    design = np.c_[x, np.ones(len(x))]
    ridge = np.diag([0.15 * len(x)] * x.shape[1] + [0.0])
    best = np.linalg.solve(design.T @ design + ridge, design.T @ y.reshape(-1))
    np.testing.assert_allclose(trainer.theta[0].numpy(), best, rtol=1e-5, atol=1e-6)


def test_that_a_step_that_nothing_makes_a_descent_is_refused_and_said(
    least_squares: Any, walk: Any
) -> None:
    class Rising(least_squares):  # type: ignore[misc]
        """A loss that rises along every step, which its derivatives do not tell."""

        def loss(self, theta: torch.Tensor) -> torch.Tensor:
            return super().loss(start()) + (theta - start()).abs().sum(dim=1)

    first, second = walk(HessianFree, Rising(residuals), start(), 2)
    assert torch.equal(second.theta, start())
    assert first.notes[0].startswith("the step was refused: no length of it")
    assert not first.state["direction"].any()
    assert float(second.state["damping"]) == pytest.approx(0.1 * 1.5**2)


def test_that_it_rests_at_the_minimum_where_changes_are_rounding_errors() -> None:
    trainer = trained(damping=1e-3)
    for _ in range(60):
        trainer.advance()
        damping = float(trainer.population.groups[0].state["damping"])
    assert not trainer.notes
    assert 1e-12 < damping < 1e-2
