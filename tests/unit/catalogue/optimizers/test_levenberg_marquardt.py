"""Levenberg–Marquardt against SciPy's MINPACK, point by point, and against least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse.linalg
import torch

from optlab.catalogue.optimizers.levenberg_marquardt import LevenbergMarquardt
from optlab.experiment import Experiment
from optlab.numerics.trust_region import steihaug
from optlab.objective.batch_objective import BatchObjective
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


def idle(theta: torch.Tensor) -> torch.Tensor:
    """Rosenbrock's function, and a parameter without effect: its column is zero."""
    return torch.cat([rosenbrock(theta[:, :2]), 0.0 * theta[:, 2:]], dim=1)


PROBLEMS = {
    "rosenbrock": (rosenbrock, [-1.2, 1.0]),
    "decay": (decay, [3.0, 0.2, -2.0]),
    "idle": (idle, [-1.2, 1.0, 0.7]),
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
    outcomes = walk(LevenbergMarquardt, objective, theta, steps, scaling=scaling, factor=100.0)
    ours = np.stack([outcome.theta[0].numpy() for outcome in outcomes])
    np.testing.assert_allclose(ours, theirs[:steps], rtol=1e-6, atol=1e-6)
    assert not any(note for outcome in outcomes for note in outcome.notes)


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


def test_that_it_rests_at_the_minimum_where_changes_are_rounding_errors(
    least_squares: Any, walk: Any
) -> None:
    theta = torch.tensor([PROBLEMS["decay"][1]], dtype=torch.float64)
    outcomes = walk(
        LevenbergMarquardt, least_squares(decay), theta, 40, scaling="columns", factor=100.0
    )
    best = scipy.optimize.least_squares(
        lambda flat: decay(torch.tensor(flat).unsqueeze(0))[0].numpy(),
        [400.0, 1.0, 0.0],
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
    ).x
    np.testing.assert_allclose(outcomes[-1].theta[0].numpy(), best, rtol=1e-7)
    assert not any(note for outcome in outcomes for note in outcome.notes)
    assert 1e-9 < float(outcomes[-1].state["radius"]) < 1e6, "what says nothing changes nothing"


def test_that_products_end_at_the_tolerance() -> None:
    """As SciPy's conjugate gradients do, where the region does not bind."""
    trainer = regression(solver="products", tolerance=0.3, factor=1e9)
    objective = trainer.population._objective
    theta = trainer.theta
    x, y = trainer.batch_of(0)
    on_batch = BatchObjective(objective, x, y, [0], 0)
    g, matrix = on_batch.gradient(theta)[1][0].numpy(), on_batch.gauss_newton(theta)[0].numpy()
    theirs, _ = scipy.sparse.linalg.cg(matrix, -g, rtol=0.3, atol=0.0)
    trainer.advance()
    step = (trainer.theta - theta)[0].numpy()
    np.testing.assert_allclose(step, theirs, rtol=1e-8, atol=1e-10)
    assert np.linalg.norm(matrix @ step + g) > 0.01 * np.linalg.norm(g), "it is not exact"


def test_that_products_change_the_region_by_the_ratio(least_squares: Any, walk: Any) -> None:
    objective = least_squares(rosenbrock)
    theta = torch.tensor([[-1.2, 1.0]], dtype=torch.float64)
    outcomes = walk(
        LevenbergMarquardt, objective, theta, 12, solver="products", tolerance=1e-12, factor=0.2
    )
    at, radius, seen = theta, 0.2 * float(theta.norm()), set()
    for outcome in outcomes:
        (value, g), matrix = objective.gradient(at), objective.gauss_newton(at)[0]
        for _ in range(12):
            p = steihaug(lambda v, m=matrix: v @ m, g, radius, iterations=50, tolerance=1e-12).p
            radius = min(radius, float(p.norm())) if not seen else radius
            predicted = -float((g * p).sum() + 0.5 * (p @ matrix * p).sum())
            ratio = float(value - objective.loss(at + p)) / predicted
            if ratio <= 0.25:
                slope, decrease = float((g * p).sum()), ratio * predicted
                share = 0.5 if decrease >= 0 else max(0.5 * slope / (slope + decrease), 0.1)
                if float(objective.loss(at + p)) ** 0.5 * 0.1 >= float(value) ** 0.5:
                    share = 0.1
                radius = share * min(radius, 10.0 * float(p.norm()))
            else:
                radius = 2.0 * float(p.norm())
            seen.add(ratio <= 0.25)
            if ratio >= 1e-4:
                at = at + p
                break
        torch.testing.assert_close(outcome.theta, at, rtol=1e-8, atol=1e-10)
        assert float(outcome.state["radius"]) == pytest.approx(radius, rel=1e-8)
    assert seen == {True, False}


def seldom(theta: torch.Tensor) -> torch.Tensor:
    """Rosenbrock's function with y in units of a thousandth: its column is small."""
    return rosenbrock(theta * torch.tensor([1.0, 1e-3], dtype=theta.dtype))


@pytest.mark.parametrize(
    ("residuals", "start"), [(idle, [-1.2, 1.0, 70.0]), (seldom, [-1.2, 1000.0])]
)
def test_that_a_first_region_that_binds_is_measured_by_the_scale_of_minpack(
    least_squares: Any, walk: Any, residuals: Any, start: list[float]
) -> None:
    """The objective is half the sum of squares, so that both scales are √(JᵀJ).

    There are as many residuals as parameters.
    """
    half = (len(start) / 2.0) ** 0.5
    objective = least_squares(lambda theta: half * residuals(theta))
    points: list[np.ndarray] = []

    def jacobian(flat: np.ndarray) -> np.ndarray:
        points.append(flat.copy())
        return objective.jacobian(torch.tensor(flat).unsqueeze(0)).numpy() / half

    scipy.optimize.leastsq(
        lambda flat: residuals(torch.tensor(flat).unsqueeze(0))[0].numpy(),
        start,
        Dfun=jacobian,
        factor=0.1,
    )
    theirs = np.stack(
        [at for at, before in zip(points[1:], points, strict=False) if (at != before).any()]
    )
    assert len(theirs) > 10
    theta = torch.tensor([start], dtype=torch.float64)
    outcomes = walk(LevenbergMarquardt, objective, theta, 10, scaling="columns", factor=0.1)
    ours = np.stack([outcome.theta[0].numpy() for outcome in outcomes])
    np.testing.assert_allclose(ours, theirs[:10], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("solver", ["exact", "products"])
@pytest.mark.parametrize("curvature", [1 / 12, 1 / 3, 0.45, 0.56, 0.58, 0.79, 0.81, 1.5])
def test_that_the_region_after_a_trial_is_that_of_a_parabola_with_a_wrong_curvature(
    least_squares: Any, walk: Any, curvature: float, solver: str
) -> None:
    """Of θ² with c times its curvature the first trial is −θ / c, whose ratio is 2 − 1 / c.

    Along it the objective is least at the share c, and the region shrinks to that where the trial
    has raised the objective, to a half where it has lowered it a little, and never below a tenth.
    """

    class Wrong(least_squares):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(lambda theta: theta)
            self.tried: list[float] = []

        def gauss_newton(self, theta: torch.Tensor) -> torch.Tensor:
            return curvature * super().gauss_newton(theta)

        def loss(self, theta: torch.Tensor) -> torch.Tensor:
            self.tried.append(float(theta))
            return super().loss(theta)

    objective, start = Wrong(), 0.05
    (outcome,) = walk(
        LevenbergMarquardt,
        objective,
        torch.tensor([[start]], dtype=torch.float64),
        1,
        solver=solver,
        factor=1e3,
        tolerance=1e-9,
    )
    length, ratio = start / curvature, 2.0 - 1.0 / curvature
    share = 2.0 if ratio > 0.25 else 0.5 if ratio >= 0.0 else max(curvature, 0.1)
    assert objective.tried[0] == pytest.approx(start - length)
    if ratio >= 1e-4:
        assert objective.tried[1:] == []
        assert float(outcome.state["radius"]) == pytest.approx(share * length)
    else:
        second = start - objective.tried[1]
        assert second == pytest.approx(share * length, rel=0.1 if solver == "exact" else 1e-9)


@pytest.mark.parametrize("solver", ["exact", "products"])
def test_that_a_hundredfold_objective_shrinks_the_region_to_a_tenth_as_in_minpack(
    least_squares: Any, walk: Any, solver: str
) -> None:
    """Of a step far beyond what saturates; a parabola would leave two fifths of the region."""

    class Wrong(least_squares):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(torch.tanh)
            self.tried: list[float] = []

        def gauss_newton(self, theta: torch.Tensor) -> torch.Tensor:
            return 1e-3 * super().gauss_newton(theta)

        def loss(self, theta: torch.Tensor) -> torch.Tensor:
            self.tried.append(float(theta))
            return super().loss(theta)

    objective, start = Wrong(), 0.05
    theta = torch.tensor([[start]], dtype=torch.float64)
    walk(LevenbergMarquardt, objective, theta, 1, solver=solver, factor=1e6, tolerance=1e-9)
    first, second = (start - tried for tried in objective.tried[:2])
    # A thousand times r / r′.
    assert first == pytest.approx(1e3 * np.tanh(start) * np.cosh(start) ** 2)
    assert second == pytest.approx(0.1 * first, rel=0.1 if solver == "exact" else 1e-9)


@pytest.mark.parametrize("solver", ["exact", "products"])
def test_that_an_objective_may_be_negative(least_squares: Any, walk: Any, solver: str) -> None:
    """The same steps as of one that is larger by a constant, until differences are roundings."""

    class Lower(least_squares):  # type: ignore[misc]
        def loss(self, theta: torch.Tensor) -> torch.Tensor:
            return super().loss(theta) - 1e4

        def gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            value, g = super().gradient(theta)
            return value - 1e4, g

    theta = torch.tensor([[-1.2, 1.0]], dtype=torch.float64)
    paths = [
        walk(LevenbergMarquardt, objective, theta, 6, solver=solver, factor=1.0, tolerance=1e-9)
        for objective in (least_squares(rosenbrock), Lower(rosenbrock))
    ]
    for one, other in zip(*paths, strict=True):
        torch.testing.assert_close(other.theta, one.theta, rtol=1e-6, atol=1e-9)
        assert other.notes == ("",)


@pytest.mark.parametrize("solver", ["exact", "products"])
def test_that_a_gradient_whose_square_vanishes_is_no_error(
    least_squares: Any, walk: Any, solver: str
) -> None:
    theta = torch.tensor([[1e-170, -2e-170]], dtype=torch.float64)
    outcomes = walk(LevenbergMarquardt, least_squares(lambda t: t), theta, 5, solver=solver)
    assert float(outcomes[-1].theta.abs().max()) <= 1e-180
    assert not any(note for outcome in outcomes for note in outcome.notes)


@pytest.mark.parametrize("solver", ["exact", "products"])
@pytest.mark.parametrize("scaling", ["none", "columns"])
@pytest.mark.parametrize("exponent", [-50, 50])
def test_that_units_of_the_loss_keep_the_path_in_single_precision(
    least_squares: Any, walk: Any, exponent: int, scaling: str, solver: str
) -> None:
    """Squares of the gradients are out of range, the gradients themselves are not."""

    def path(unit: float) -> torch.Tensor:
        objective = least_squares(lambda theta: unit * rosenbrock(theta))
        theta = torch.tensor([[-1.2, 1.0]])
        outcomes = walk(LevenbergMarquardt, objective, theta, 8, scaling=scaling, solver=solver)
        return torch.cat([outcome.theta for outcome in outcomes])

    reference = path(1.0)
    assert (reference[-1] - reference[0]).abs().max() > 0.1
    torch.testing.assert_close(path(2.0**exponent), reference, rtol=1e-3, atol=1e-4)
