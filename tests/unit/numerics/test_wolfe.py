"""The line search: the conditions it promises, on functions with known minima, and what it says
where it cannot keep them.
"""

from __future__ import annotations

import inspect
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
HARD: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    **FUNCTIONS,
    "unbounded": (lambda t: -t, lambda t: -1.0),
    "kink": (lambda t: abs(t - 1.0), lambda t: math.copysign(1.0, t - 1.0)),
    "wall": (lambda t: t**40 - t, lambda t: 40.0 * t**39 - 1.0),
    # The interior barrier of a constraint t ≤ 1.01.
    "barrier": (
        lambda t: -t - 1e-3 * math.log(1.01 - t) if t < 1.01 else math.inf,
        lambda t: -1.0 + 1e-3 / (1.01 - t) if t < 1.01 else math.inf,
    ),
    "hole": (
        lambda t: t * t - 0.5 * t if not 0.2 < t < 3.0 else math.nan,
        lambda t: 2.0 * t - 0.5 if not 0.2 < t < 3.0 else math.nan,
    ),
}
"""Functions of which some have no step that the search accepts."""
FIRST = [1e-3, 0.1, 1.0, 10.0, 100.0]


def line(
    value: Callable[[float], float], slope: Callable[[float], float], evaluated: list[float]
) -> Along:
    def along(t: float) -> tuple[float, float, torch.Tensor]:
        evaluated.append(t)
        return value(t), slope(t), GRADIENT + t

    return along


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("first", FIRST)
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


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("exponent", [-40, 40])
def test_that_trials_do_not_depend_on_the_units_of_the_step_and_of_the_value(
    name: str, first: float, exponent: float
) -> None:
    """Powers of two are exact, so the trials are the same to the bit."""
    value, slope = HARD[name]
    unit, of_value = 2.0**exponent, 2.0 ** (-exponent // 2)
    trials: list[float] = []
    result = search(
        line(value, slope, trials),
        Trial(0.0, value(0.0), slope(0.0), GRADIENT),
        first,
        c2=0.1,
        limit=100,
    )
    scaled: list[float] = []
    of_scaled = search(
        line(
            lambda t: of_value * value(t / unit),
            lambda t: of_value / unit * slope(t / unit),
            scaled,
        ),
        Trial(0.0, of_value * value(0.0), of_value / unit * slope(0.0), GRADIENT),
        first * unit,
        c2=0.1,
        limit=100,
    )
    assert [t / unit for t in scaled] == trials
    assert of_scaled.best.t / unit == result.best.t
    assert of_scaled.problem == result.problem


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("first", FIRST)
def test_that_a_trial_between_two_others_keeps_a_distance_from_both(
    name: str, first: float
) -> None:
    """Else interpolation can creep along one end: the safeguard of Moré and Thuente's search."""
    value, slope = HARD[name]
    trials: list[float] = []
    start = Trial(0.0, value(0.0), slope(0.0), GRADIENT)
    search(line(value, slope, trials), start, first, c2=0.01, limit=100)
    for number, t in enumerate(trials):
        earlier = [0.0, *trials[:number]]
        below, above = [x for x in earlier if x < t], [x for x in earlier if x > t]
        if below and above:
            low, high = max(below), min(above)
            least = 0.0999 * (high - low) - 1e-14 * high
            assert low + least <= t <= high - least


def test_that_an_interval_with_an_end_where_nothing_is_known_is_halved() -> None:
    value, slope = HARD["hole"]
    trials: list[float] = []
    start = Trial(0.0, value(0.0), slope(0.0), GRADIENT)
    result = search(line(value, slope, trials), start, 4.0, c2=0.5)
    assert not result.problem
    assert 0.2 < trials[1] < 3.0, "the search has met the hole"
    assert trials[2] == 0.5 * trials[1]


def test_that_a_kink_ends_the_search_once_the_interval_is_as_small_as_rounding() -> None:
    value, slope = HARD["kink"]
    start = Trial(0.0, 1.0, -1.0, GRADIENT)
    result = search(line(value, slope, []), start, 5.0, c2=0.1, limit=1000)
    assert "strong Wolfe conditions" in result.problem
    assert result.best.t == pytest.approx(1.0, abs=1e-11)
    assert result.evaluations < 300


def test_that_a_wall_beyond_the_minimum_does_not_hold_the_search_at_the_start() -> None:
    """The cubic through a wall of 10⁴⁰ has its minimum where nothing is gained."""
    value, slope = HARD["wall"]
    start = Trial(0.0, 0.0, -1.0, GRADIENT)
    assert not search(line(value, slope, []), start, 10.0, c2=0.9).problem


@pytest.mark.parametrize("first", [0.5, 1.0, 1.009, 1e15])
def test_that_a_search_comes_back_to_just_before_a_barrier(first: float) -> None:
    """Also from far beyond it, and where it is close behind a step that was good."""
    value, slope = HARD["barrier"]
    start = Trial(0.0, value(0.0), slope(0.0), GRADIENT)
    result = search(line(value, slope, []), start, first, c2=0.1)
    assert not result.problem
    assert value(result.best.t) <= value(0.0) + 1e-4 * result.best.t * slope(0.0)
    assert abs(slope(result.best.t)) <= 0.1 * abs(slope(0.0))


def test_that_the_constants_are_those_for_quasi_newton_directions_unless_others_are_named() -> None:
    """SciPy's search has them, too: almost every decrease is enough, and most slopes are."""
    value, slope = FUNCTIONS["quadratic"]
    start = Trial(0.0, value(0.0), slope(0.0), GRADIENT)
    constants = inspect.signature(scipy.optimize.line_search).parameters
    for t in (0.31, 2.9, 5.0, 5.69):
        named = search(
            line(value, slope, []),
            start,
            t,
            c1=constants["c1"].default,
            c2=constants["c2"].default,
        )
        result = search(line(value, slope, []), start, t)
        assert (result.best.t, result.evaluations) == (named.best.t, 1)
    for t in (0.29, 5.71):
        assert search(line(value, slope, []), start, t).evaluations > 1
