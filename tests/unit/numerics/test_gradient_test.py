"""The gradient-norm test: what it concludes from two norms, and what it says about it."""

from __future__ import annotations

import math

import pytest

from optlab.numerics.gradient_test import SHRUNK, gradient_test


@pytest.mark.parametrize(
    ("start", "now", "largest", "outcome"),
    [
        (2.0, 0.1, 2.0, "shrunk"),
        (2.0, 0.11, 2.0, "undecided"),
        (2.0, 0.19, 2.0, "undecided"),
        (2.0, 0.2, 2.0, "not shrunk"),
        (2.0, 6.0, 6.0, "not shrunk"),
        (1e-6, 1e-6, 1.0, "undecided"),
        (1e-6, 0.5, 1.0, "not shrunk"),
        (0.0, 0.0, 0.0, "undecided"),
        (0.0, 1.0, 1.0, "undecided"),
        (None, 1.0, None, "undecided"),
        (1.0, None, None, "undecided"),
        (1.0, math.inf, None, "undecided"),
    ],
)
def test_that_the_test_compares_with_the_start(
    start: float | None, now: float | None, largest: float | None, outcome: str
) -> None:
    assert gradient_test(start, now, largest).outcome == outcome


def test_that_a_small_norm_is_a_critical_point_and_no_minimum() -> None:
    assert "close to a critical point" in gradient_test(1.0, 0.01).sentence
    assert "minimum" not in gradient_test(1.0, 0.01).sentence
    assert "not at a critical point" in gradient_test(1.0, 0.9).sentence
    # As around the minimum of a convex problem, where a constant rate keeps it.
    assert "circling around one" in gradient_test(1.0, 0.19).sentence
    assert "is inconclusive" in gradient_test(None, 0.9).sentence


def test_that_of_a_quadratic_a_four_hundredth_of_the_decrease_remains_where_the_norm_has_shrunk() -> (
    None
):
    """Descent on λx²/2, whose gradient is λx and whose value is its square over 2λ."""
    curvature, x = 3.0, 2.0
    start, steps = curvature * x, 0
    while gradient_test(start, curvature * x).outcome != "shrunk":
        remains, steps = 0.5 * curvature * x * x, steps + 1
        x *= 1.0 - 0.01
    value = 0.5 * start**2 / curvature
    assert remains / value > SHRUNK**2 == pytest.approx(1.0 / 400.0)
    assert 0.5 * curvature * x * x / value <= SHRUNK**2
    assert steps == math.ceil(math.log(SHRUNK) / math.log(0.99))


@pytest.mark.parametrize(
    ("start", "now", "share", "text"),
    [
        (2.0, 0.1, 0.05, "is 5.00% of what it was at the start"),
        (2.0, 0.15, 0.075, "is 7.50% of what it was at the start"),
        (2.0, 6.0, 3.0, "is 300.00% of what it was at the start"),
        (0.0, 1.0, None, "is zero at the start"),
        (None, 1.0, None, "is not known both at the start and now"),
        (1.0, None, None, "is not known both at the start and now"),
        (math.inf, 1.0, None, "is not known both at the start and now"),
        (1.0, math.nan, None, "is not known both at the start and now"),
    ],
)
def test_that_the_numbers_behind_the_result_are_named(
    start: float | None, now: float | None, share: float | None, text: str
) -> None:
    result = gradient_test(start, now)
    assert result.share == (None if share is None else pytest.approx(share))
    assert text in result.reason
    assert result.sentence.startswith(f"{result.reason}: ")


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**40])
@pytest.mark.parametrize("largest", [None, 2.0, 30.0])
@pytest.mark.parametrize("now", [0.01, 0.15, 1.0, 2.0])
def test_that_the_outcome_does_not_depend_on_the_unit_of_the_norm(
    now: float, largest: float | None, unit: float
) -> None:
    scaled = gradient_test(2.0 * unit, now * unit, None if largest is None else largest * unit)
    assert scaled == gradient_test(2.0, now, largest)
