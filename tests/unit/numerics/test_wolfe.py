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
    value: Callable[[float], float], slope: Callable[[float], float], asked: list[float]
) -> Along:
    def along(t: float) -> tuple[float, float, torch.Tensor]:
        asked.append(t)
        return value(t), slope(t), GRADIENT + t

    return along


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 100.0])
@pytest.mark.parametrize(("c1", "c2"), [(1e-4, 0.9), (1e-4, 0.1), (0.1, 0.2)])
def test_that_the_step_found_keeps_the_strong_wolfe_conditions(
    name: str, first: float, c1: float, c2: float
) -> None:
    value, slope = FUNCTIONS[name]
    asked: list[float] = []
    start = Trial(0.0, value(0.0), slope(0.0), GRADIENT)
    found = search(line(value, slope, asked), start, first, c1=c1, c2=c2)
    best = found.best
    assert not found.problem
    assert best.t > 0.0
    assert best.value == value(best.t) <= start.value + c1 * best.t * start.slope
    assert abs(slope(best.t)) <= c2 * abs(start.slope)
    assert best.gradient.item() == pytest.approx(best.t), (
        "the gradient handed back is that of the step taken"
    )
    assert found.evaluations == len(asked) <= 25


def test_that_a_strict_search_along_a_quadratic_ends_at_its_minimum() -> None:
    value, slope = FUNCTIONS["quadratic"]
    found = search(line(value, slope, []), Trial(0.0, 9.0, -6.0, GRADIENT), 1.0, c1=1e-5, c2=1e-4)
    assert found.best.t == pytest.approx(3.0, abs=1e-3)
    assert found.evaluations <= 4, "the cubic through two points of a parabola is that parabola"


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

    found = search(along, Trial(0.0, *along(0.0)), 1.0, c1=1e-4, c2=0.1)
    t = scipy.optimize.line_search(
        scipy.optimize.rosen, scipy.optimize.rosen_der, x.numpy(), d.numpy(), c1=1e-4, c2=0.1
    )[0]
    assert not found.problem
    assert found.best.t == pytest.approx(t, rel=0.2)


def test_that_a_direction_uphill_is_refused_without_an_evaluation() -> None:
    start = Trial(0.0, 1.0, 0.0, GRADIENT)
    found = search(line(lambda t: t, lambda t: 1.0, []), start, 1.0)
    assert found.best is start and found.evaluations == 0
    assert "downhill" in found.problem


def test_that_a_function_that_falls_for_ever_is_told() -> None:
    found = search(line(lambda t: -t, lambda t: -1.0, []), Trial(0.0, 0.0, -1.0, GRADIENT), 1.0)
    assert "for ever" in found.problem
    assert found.best.value < -1e9


def test_that_a_slope_that_lies_is_told_and_leaves_the_start() -> None:
    start = Trial(0.0, 0.0, -1.0, GRADIENT)
    found = search(line(lambda t: t, lambda t: 1.0, []), start, 1.0)
    assert found.best is start
    assert "no lower value" in found.problem


def test_that_a_search_comes_back_from_where_the_function_is_not_finite() -> None:
    def value(t: float) -> float:
        return t * t - 2.0 * t if t < 1.0 else math.nan

    def slope(t: float) -> float:
        return 2.0 * t - 2.0 if t < 1.0 else math.nan

    found = search(line(value, slope, []), Trial(0.0, 0.0, -2.0, GRADIENT), 1000.0)
    assert not found.problem
    assert 0.0 < found.best.t < 1.0
    assert found.best.value < 0.0
