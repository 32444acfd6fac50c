"""The line search: the conditions it promises, on functions with known minima, and what it says
where it cannot keep them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import scipy.optimize
import torch

from optlab.numerics.wolfe import Along, Trial, search

GRADIENT = torch.zeros(1, 1)
FUNCTIONS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "quadratic": (lambda t: (t - 3.0) ** 2, lambda t: 2.0 * (t - 3.0)),
    "steep": (lambda t: math.cosh(5.0 * (t - 1.0)), lambda t: 5.0 * math.sinh(5.0 * (t - 1.0))),
    "wavy": (
        lambda t: 0.05 * t * t - t - 0.4 * math.sin(4.0 * t),
        lambda t: 0.1 * t - 1.0 - 1.6 * math.cos(4.0 * t),
    ),
    # Moré and Thuente (1994), function (5.1).
    "more_thuente": (lambda t: -t / (t * t + 2.0), lambda t: (t * t - 2.0) / (t * t + 2.0) ** 2),
}


def line(
    value: Callable[[float], float], slope: Callable[[float], float], evaluated: list[float]
) -> Along:
    def along(t: float) -> tuple[float, float, torch.Tensor]:
        evaluated.append(t)
        return value(t), slope(t), GRADIENT + t

    return along


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 100.0])
@pytest.mark.parametrize(("c1", "c2"), [(1e-4, 0.9), (1e-4, 0.1), (0.1, 0.2)])
def test_that_the_accepted_step_satisfies_the_strong_wolfe_conditions(
    name: str, first: float, c1: float, c2: float
) -> None:
    value, slope = FUNCTIONS[name]
    evaluated: list[float] = []
    start = Trial(0.0, value(0.0), slope(0.0), GRADIENT)
    result = search(line(value, slope, evaluated), start, first, c1=c1, c2=c2)
    best = result.best
    assert not result.problem
    assert best.t > 0.0
    assert best.value == value(best.t) <= start.value + c1 * best.t * start.slope
    assert abs(slope(best.t)) <= c2 * abs(start.slope)
    assert best.gradient.item() == pytest.approx(best.t), (
        "the gradient handed back is that of the step taken"
    )
    assert result.evaluations == len(evaluated) <= 25


def test_that_a_strict_search_along_a_quadratic_ends_at_its_minimum() -> None:
    value, slope = FUNCTIONS["quadratic"]
    result = search(line(value, slope, []), Trial(0.0, 9.0, -6.0, GRADIENT), 1.0, c1=1e-5, c2=1e-4)
    assert result.best.t == pytest.approx(3.0, abs=1e-3)
    assert result.evaluations <= 4, "the cubic through two points of a parabola is that parabola"


def test_that_a_first_step_that_is_good_costs_one_evaluation() -> None:
    value, slope = FUNCTIONS["quadratic"]
    assert search(line(value, slope, []), Trial(0.0, 9.0, -6.0, GRADIENT), 2.5).evaluations == 1


def test_that_scipy_accepts_the_same_kind_of_point() -> None:
    """SciPy's search of the same conditions on Rosenbrock's valley from the same start."""
    x = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    g = torch.tensor(scipy.optimize.rosen_der(x.numpy()))
    d = -g

    def along(t: float) -> tuple[float, float, torch.Tensor]:
        at = (x + t * d).numpy()
        gradient = torch.tensor(scipy.optimize.rosen_der(at))
        return float(scipy.optimize.rosen(at)), float(gradient @ d), gradient.unsqueeze(0)

    result = search(along, Trial(0.0, *along(0.0)), 1.0, c1=1e-4, c2=0.1)
    t = scipy.optimize.line_search(
        scipy.optimize.rosen, scipy.optimize.rosen_der, x.numpy(), d.numpy(), c1=1e-4, c2=0.1
    )[0]
    assert not result.problem
    assert result.best.t == pytest.approx(t, rel=0.2)


def test_that_a_direction_uphill_is_refused_without_an_evaluation() -> None:
    start = Trial(0.0, 1.0, 0.0, GRADIENT)
    result = search(line(lambda t: t, lambda t: 1.0, []), start, 1.0)
    assert result.best is start and result.evaluations == 0
    assert "not a descent direction" in result.problem


def test_that_a_function_that_is_unbounded_below_is_reported() -> None:
    result = search(line(lambda t: -t, lambda t: -1.0, []), Trial(0.0, 0.0, -1.0, GRADIENT), 1.0)
    assert "unbounded below" in result.problem
    assert result.best.value < -1e9


def test_that_a_wrong_slope_is_reported_and_leaves_the_start() -> None:
    start = Trial(0.0, 0.0, -1.0, GRADIENT)
    result = search(line(lambda t: t, lambda t: 1.0, []), start, 1.0)
    assert result.best is start
    assert "no lower value" in result.problem


def test_that_a_search_comes_back_from_where_the_function_is_not_finite() -> None:
    def value(t: float) -> float:
        return t * t - 2.0 * t if t < 1.0 else math.nan

    def slope(t: float) -> float:
        return 2.0 * t - 2.0 if t < 1.0 else math.nan

    result = search(line(value, slope, []), Trial(0.0, 0.0, -2.0, GRADIENT), 1000.0)
    assert not result.problem
    assert 0.0 < result.best.t < 1.0
    assert result.best.value < 0.0
