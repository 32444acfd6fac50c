"""The path of a method that knows no units does not depend on those of the loss or the parameters.

A loss in dollars instead of trillions of dollars is the same loss. Powers of two scale numbers
exactly, so the scaled path has the same bits; powers of ten round, so it agrees until rounding
errors have grown.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch

import optlab.optim
from optlab.catalogue.optimizers._runs import initial_step_length
from optlab.experiment import Experiment
from optlab.numerics import conjugate_gradients
from optlab.numerics.lanczos import lanczos
from optlab.numerics.scaling import dot, norms, power_of_two
from optlab.training.trainer import Trainer

Function = Callable[[torch.Tensor], torch.Tensor]


def _rosenbrock(x: torch.Tensor) -> torch.Tensor:
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def _least_squares(x: torch.Tensor) -> torch.Tensor:
    rows = torch.sin(torch.arange(24.0, dtype=x.dtype).reshape(6, 4) ** 2 / 7.0)
    return (rows @ x - torch.arange(6.0, dtype=x.dtype)).square().mean()


def _saddle(x: torch.Tensor) -> torch.Tensor:
    return x[0] ** 2 - x[1] ** 2 + 0.25 * x[1] ** 4


PROBLEMS: dict[str, tuple[Function, list[float]]] = {
    "rosenbrock": (_rosenbrock, [-1.2, 1.0, -0.5, 0.7]),
    "least squares": (_least_squares, [0.3, -0.2, 0.1, 0.4]),
    "least squares from zero": (_least_squares, [0.0, 0.0, 0.0, 0.0]),
    "a saddle at value zero": (_saddle, [0.5, 0.535233134659635]),
}
METHODS: dict[str, dict[str, Any]] = {
    "LBFGS": {},
    "BFGS": {},
    "ConjugateGradient": {},
    "Newton": {"damping": 0.0},
    "SaddleFreeNewton": {"damping": 0.0},
}
PRODUCTS: dict[str, dict[str, Any]] = {
    "Newton": {"damping": 0.0, "solver": "products"},
    "SaddleFreeNewton": {"damping": 0.0, "solver": "products"},
}


def _path(
    name: str,
    arguments: dict[str, Any],
    problem: str,
    loss: float = 1.0,
    unit: float = 1.0,
    steps: int = 12,
    dtype: torch.dtype = torch.float64,
) -> torch.Tensor:
    """Return the points of a run on ``loss · f(θ / unit)``, divided by the unit."""
    function, start = PROBLEMS[problem]
    theta = torch.nn.Parameter(torch.tensor(start, dtype=dtype) * unit)
    optimizer = getattr(optlab.optim, name)([theta], **arguments)
    points = [theta.detach().clone() / unit]
    for _ in range(steps):
        optimizer.step(lambda: loss * function(theta / unit))
        points.append(theta.detach().clone() / unit)
    return torch.stack(points)


def _binary(exponent: int) -> float:
    """Return the power of two nearest to a power of ten."""
    return 2.0 ** round(exponent * math.log2(10.0))


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", METHODS)
def test_that_no_power_of_two_of_the_loss_or_the_parameters_changes_a_bit_of_the_path(
    name: str, problem: str
) -> None:
    reference = _path(name, METHODS[name], problem)
    assert torch.isfinite(reference).all()
    for exponent in (-30, -15, -5, 5, 15, 30):
        assert torch.equal(_path(name, METHODS[name], problem, loss=_binary(exponent)), reference)
        assert torch.equal(_path(name, METHODS[name], problem, unit=_binary(exponent)), reference)


@pytest.mark.parametrize("problem", ["rosenbrock", "least squares"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_that_no_power_of_two_changes_a_path_that_uses_products(name: str, problem: str) -> None:
    reference = _path(name, PRODUCTS[name], problem)
    for exponent in (-30, -15, -5, 5, 15, 30):
        scaled = _path(name, PRODUCTS[name], problem, loss=_binary(exponent))
        assert torch.equal(scaled, reference)


@pytest.mark.parametrize("exponent", range(-30, 31, 20))
@pytest.mark.parametrize("name", METHODS)
def test_that_a_power_of_ten_of_the_loss_keeps_the_path(name: str, exponent: int) -> None:
    reference = _path(name, METHODS[name], "rosenbrock", steps=8)
    scaled = _path(name, METHODS[name], "rosenbrock", loss=10.0**exponent, steps=8)
    torch.testing.assert_close(scaled, reference, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("exponent", range(-30, 31, 15))
@pytest.mark.parametrize("name", ["LBFGS", "BFGS", "ConjugateGradient"])
def test_that_the_minimum_is_found_in_any_units_as_scipy_finds_it_in_good_ones(
    name: str, exponent: int
) -> None:
    function, start = PROBLEMS["rosenbrock"]

    def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
        theta = torch.tensor(x, requires_grad=True)
        value = function(theta)
        (gradient,) = torch.autograd.grad(value, theta)
        return value.item(), gradient.numpy()

    best = scipy.optimize.minimize(
        evaluate, start, jac=True, method="L-BFGS-B", options={"ftol": 0.0, "gtol": 1e-12}
    )
    for units in ({"loss": 10.0**exponent}, {"unit": 10.0**exponent}):
        end = _path(name, METHODS[name], "rosenbrock", steps=120, **units)[-1]
        np.testing.assert_allclose(end, best.x, rtol=1e-6)
        assert float(function(end)) <= best.fun + 1e-12


@pytest.mark.parametrize("exponent", [-30, -24, -15, 15, 24, 30])
@pytest.mark.parametrize("name", METHODS)
def test_that_single_precision_is_no_absolute_threshold_either(name: str, exponent: int) -> None:
    """Squares of such gradients are beyond single precision, the gradients themselves are not."""
    reference = _path(name, METHODS[name], "least squares", steps=6, dtype=torch.float32)
    scaled = _path(
        name, METHODS[name], "least squares", loss=_binary(exponent), steps=6, dtype=torch.float32
    )
    torch.testing.assert_close(scaled, reference, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-35, 1e-21, 1e-20, 1.0, 1e20, 1e37])
def test_that_inner_products_and_norms_in_single_precision_neither_overflow_nor_vanish(
    scale: float,
) -> None:
    x, y = torch.tensor([[3.0, 4.0]]) * scale, torch.tensor([[1.0, 2.0]]) * scale
    assert dot(x, y) == pytest.approx(11.0 * scale**2, rel=1e-6, abs=0.0)
    assert float(norms(x)) == pytest.approx(5.0 * scale, rel=1e-6, abs=0.0)
    assert float(torch.frexp(power_of_two(x))[0]) == 0.5


def test_that_rows_that_are_zero_or_not_finite_have_a_scale_of_one() -> None:
    rows = torch.tensor([[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0], [1e-42, 0.0]])
    scales = power_of_two(rows).flatten().tolist()
    assert scales[:3] == [1.0, 1.0, 1.0] and 0.0 < scales[3] < 1e-37
    assert dot(rows[:1], rows[:1]) == 0.0 and math.isnan(dot(rows[1:2], rows[1:2]))


@pytest.mark.parametrize("scale", [1e-28, 1.0, 1e28])
def test_that_linear_solves_in_single_precision_do_not_depend_on_the_size_of_the_right_hand_side(
    scale: float,
) -> None:
    matrix = torch.tensor([[4.0, 1.0], [1.0, 3.0]])
    b = torch.tensor([[1.0, 2.0]]) * scale
    solved = conjugate_gradients.solve(lambda v: v @ matrix, b, iterations=5, tolerance=1e-6)
    torch.testing.assert_close(solved.x / scale, torch.tensor([[1 / 11, 7 / 11]]))
    krylov = lanczos(lambda v: v @ (matrix * scale), b, 2)
    assert krylov.sizes.tolist() == [2]
    expected = torch.linalg.eigvalsh(matrix)
    torch.testing.assert_close(krylov.eigen()[0][0] / scale, expected)


def test_that_the_first_trial_is_near_where_the_objective_is_and_beyond_its_rounding_error() -> (
    None
):
    theta, g = torch.tensor([[3.0, 4.0]]), torch.tensor([[6.0, 8.0]])
    assert initial_step_length(theta, torch.tensor([25.0]), g) * 10.0 == pytest.approx(0.5)
    # Not further than where the linear model is zero.
    assert initial_step_length(theta, torch.tensor([2.0]), g) * 10.0 == pytest.approx(0.2)
    # With no parameters to compare with, as far as the linear model says.
    origin = torch.zeros_like(theta)
    assert initial_step_length(origin, torch.tensor([25.0]), g) * 10.0 == pytest.approx(2.5)
    # The value at the start says nothing.
    assert initial_step_length(theta, torch.tensor([0.0]), g) > 0.0
    assert initial_step_length(origin, torch.tensor([0.0]), g) * 10.0 == pytest.approx(1.0)
    # The decrease has to be seen in a large value.
    length = initial_step_length(theta, torch.tensor([1e12]), g)
    assert length * 100.0 == pytest.approx(1e4 * torch.finfo(torch.float32).eps * 1e12)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", ["lbfgs", "bfgs", "conjugate_gradient"])
def test_that_a_table_in_dollars_is_fitted_as_least_squares_fit_it(
    name: str, precision: str, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(60, 2))
    targets = 2.1e13 + inputs @ [6e12, -3e12] + 9e13 * np.exp(random.normal(size=60))
    table = tmp_path / "dollars.csv"
    np.savetxt(
        table,
        np.c_[inputs, targets],
        delimiter=",",
        header="urban,age,gdp",
        comments="",
        fmt="%.9g",
    )
    design = np.c_[inputs, np.ones(60)]
    best = np.linalg.lstsq(design, targets, rcond=None)[0]
    experiment = Experiment.from_dict(
        {
            "precision": precision,
            "dataset": {"name": "csv_file", "path": str(table), "validation": 0.0, "test": 0.0},
            "model": {"name": "linear"},
            "loss": {"name": "squared_error"},
            "optimizer": {"name": name},
            "batches": {"name": "shuffled", "size": 60},
            "budget": {"steps": 50},
        }
    )
    trainer = Trainer([experiment])
    for _ in range(50):
        trainer.advance()
    loss = float(trainer.evaluate()["train_loss"][0])
    least = float(np.mean((design @ best - targets) ** 2))
    assert loss == pytest.approx(least, rel=1e-5 if precision == "float32" else 1e-9)
