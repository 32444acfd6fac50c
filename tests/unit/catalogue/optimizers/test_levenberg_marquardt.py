"""Levenberg–Marquardt against SciPy's MINPACK, point by point, and against least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch

from optlab.catalogue.optimizers.levenberg_marquardt import LevenbergMarquardt
from optlab.experiment import Experiment
from optlab.numerics.trust_region import DampedSteps
from optlab.training.trainer import Trainer

T = torch.linspace(0.0, 4.0, 21, dtype=torch.float64)


def rosenbrock(theta: torch.Tensor) -> torch.Tensor:
    x, y = theta.unbind(1)
    return torch.stack([10.0 * (y - x * x), 1.0 - x], dim=1)


def decay(theta: torch.Tensor) -> torch.Tensor:
    """An exponential fit: the rate and the amplitude are of very different sizes."""
    a, b, c = theta.unsqueeze(2).unbind(1)
    truth = 500.0 * torch.exp(-1.3 * T) + 0.4 * torch.cos(3.0 * T)
    return a * torch.exp(-b * T) + c - truth


def helix(theta: torch.Tensor) -> torch.Tensor:
    x, y, z = theta.unbind(1)
    turn = torch.atan2(y, x) / (2.0 * torch.pi)
    return torch.stack([10.0 * (z - 10.0 * turn), 10.0 * ((x * x + y * y).sqrt() - 1.0), z], dim=1)


PROBLEMS = {
    "rosenbrock": (rosenbrock, [-1.2, 1.0]),
    "decay": (decay, [3.0, 0.2, -2.0]),
    "helix": (helix, [-1.0, 0.1, 0.5]),
}


@pytest.mark.parametrize("scaling", ["none", "columns"])
@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("far", [1.0, 5.0])
def test_that_the_accepted_points_are_those_of_minpack(
    least_squares: Any, walk: Any, name: str, scaling: str, far: float
) -> None:
    residuals, start = PROBLEMS[name]
    objective = least_squares(residuals)
    points: list[np.ndarray] = []

    def jacobian(flat: np.ndarray) -> np.ndarray:
        points.append(flat.copy())
        return objective.jacobian(torch.tensor(flat).unsqueeze(0)).numpy()

    scipy.optimize.least_squares(
        lambda flat: residuals(torch.tensor(flat).unsqueeze(0))[0].numpy(),
        [far * one for one in start],
        jac=jacobian,
        method="lm",
        x_scale=1.0 if scaling == "none" else "jac",
    )
    theta = far * torch.tensor([start], dtype=torch.float64)
    theirs = np.stack(points[1:])
    assert len(theirs) >= 5
    # The last steps are sizes of rounding errors.
    steps = min(len(theirs) - 1, 25)
    outcomes = walk(LevenbergMarquardt, objective, theta, steps, scaling=scaling)
    ours = np.stack([outcome.theta[0].numpy() for outcome in outcomes])
    np.testing.assert_allclose(ours, theirs[:steps], rtol=1e-6, atol=1e-6)
    assert not any(note for outcome in outcomes for note in outcome.notes)


def test_that_the_damped_step_is_the_solution_of_the_trust_region() -> None:
    """Against the definition: on the boundary to a tenth, and the solution of the damped system."""
    source = torch.Generator().manual_seed(4)
    root = torch.randn(7, 5, dtype=torch.float64, generator=source)
    matrix, b = root.T @ root, torch.randn(5, dtype=torch.float64, generator=source)
    steps = DampedSteps(matrix.unsqueeze(0), b.unsqueeze(0))
    free = -torch.linalg.solve(matrix, b)
    for share in (0.9, 0.5, 0.1, 1e-3):
        radius = share * float(free.norm())
        q, alpha = steps.within(radius, 0.0)
        assert abs(float(q.norm()) - radius) <= 0.1 * radius
        exact = -torch.linalg.solve(matrix + alpha * torch.eye(5, dtype=torch.float64), b)
        torch.testing.assert_close(q[0], exact, rtol=1e-9, atol=1e-12)
    q, alpha = steps.within(1.2 * float(free.norm()), 3.0)
    assert alpha == 0.0
    torch.testing.assert_close(q[0], free, rtol=1e-9, atol=1e-12)


def test_that_a_singular_matrix_gives_the_step_of_least_norm() -> None:
    matrix = torch.diag(torch.tensor([2.0, 0.0, 5.0], dtype=torch.float64)).unsqueeze(0)
    steps = DampedSteps(matrix, torch.tensor([[4.0, 0.0, 5.0]], dtype=torch.float64))
    q, alpha = steps.within(10.0, 0.0)
    assert alpha == 0.0 and q.tolist() == [[-2.0, 0.0, -1.0]]
    q, alpha = steps.within(1.0, 0.0)
    assert alpha > 0.0 and abs(float(q.norm()) - 1.0) <= 0.1


def regression(**optimizer: Any) -> Trainer:
    return Trainer(
        [
            Experiment.from_dict(
                {
                    "precision": "float64",
                    "device": "cpu",
                    "dataset": {"name": "diabetes"},
                    "model": {"name": "linear"},
                    "loss": {"name": "squared_error", "l2": 0.3},
                    "optimizer": {"name": "levenberg_marquardt", **optimizer},
                    "batches": {"name": "never_shuffled", "size": 0},
                }
            )
        ]
    )


@pytest.mark.parametrize("solver", ["exact", "products"])
def test_that_one_step_solves_ridge_regression(solver: str) -> None:
    trainer = regression(solver=solver, tolerance=1e-13, iterations=500, factor=1e6)
    x, y = (part[0].numpy() for part in trainer.batch_of(0))
    trainer.advance()
    design = np.c_[x, np.ones(len(x))]
    ridge = np.diag([0.15 * len(x)] * x.shape[1] + [0.0])
    best = np.linalg.solve(design.T @ design + ridge, design.T @ y.reshape(-1))
    np.testing.assert_allclose(trainer.theta[0].numpy(), best, rtol=1e-7, atol=1e-9)


def test_that_a_step_that_nothing_makes_a_descent_is_refused_and_said(
    least_squares: Any, walk: Any
) -> None:
    class Wrong(least_squares):  # type: ignore[misc]
        def loss(self, theta: torch.Tensor) -> torch.Tensor:
            return super().loss(theta) * 0.0 + float("nan")

    theta = torch.tensor([[-1.2, 1.0]], dtype=torch.float64)
    (outcome,) = walk(LevenbergMarquardt, Wrong(rosenbrock), theta, 1)
    assert torch.equal(outcome.theta, theta)
    assert outcome.notes[0].startswith("the step was refused: none of 12 trials")
    assert 0.0 < float(outcome.state["radius"]) < 1e-9


def test_that_products_and_the_matrix_take_the_same_steps_within_the_region(
    least_squares: Any, walk: Any
) -> None:
    theta = torch.tensor([[-1.2, 1.0]], dtype=torch.float64)
    ends = [
        walk(
            LevenbergMarquardt, least_squares(rosenbrock), theta, 40, solver=solver, tolerance=1e-12
        )[-1].theta
        for solver in ("exact", "products")
    ]
    for end in ends:
        np.testing.assert_allclose(end[0].numpy(), [1.0, 1.0], atol=1e-7)
