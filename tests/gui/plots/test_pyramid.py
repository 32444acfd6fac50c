"""The pyramid against all samples at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from optlab.gui.plots.pyramid import Pyramid

SIZES = {"samples": 256, "buckets": 64, "head": 16, "batch": 16}


def small() -> Pyramid:
    """A pyramid so small that a few thousand samples make it forget."""
    return Pyramid(**SIZES)


@st.composite
def series(draw: st.DrawFn, most: int = 3000) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Steps, values with gaps and spikes, and where to cut them into blocks."""
    n = draw(st.integers(1, most))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = np.cumsum(random.integers(1, draw(st.integers(2, 30)), n)) + draw(
        st.sampled_from([-1, 0, 10**9])
    )
    values = random.normal(size=n) * 10.0 ** random.integers(-3, 4, n)
    values[random.random(n) < draw(st.sampled_from([0.0, 0.0, 0.05, 0.9]))] = np.nan
    values[random.random(n) < 0.01] = 0.0
    cuts = sorted(draw(st.lists(st.integers(0, n), max_size=8)))
    return steps, values, cuts


def filled(steps: np.ndarray, values: np.ndarray, cuts: list[int], pyramid: Pyramid) -> Pyramid:
    for begin, end in zip([0, *cuts], [*cuts, len(steps)], strict=True):
        pyramid.append(steps[begin:end], values[begin:end])
    return pyramid


def extremes(values: np.ndarray) -> tuple[float, float] | None:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else None


@settings(max_examples=150, deadline=None)
@given(series(), st.floats(0, 1), st.floats(0, 1), st.integers(1, 300), st.booleans())
@example((np.arange(20), np.linspace(1.0, 2.0, 20), []), 0.0, 2.2250738585e-313, 1, False)
def test_that_a_view_holds_the_exact_extremes_of_its_range_with_two_points_a_pixel(
    data, a, b, pixels, log_x
) -> None:
    steps, values, cuts = data
    pyramid = filled(steps, values, cuts, Pyramid(samples=4096, buckets=64, head=16, batch=16))
    first, last = sorted(
        (steps[0] + a * (steps[-1] - steps[0]), steps[0] + b * (steps[-1] - steps[0]))
    )
    x, y = pyramid.view(first, last, pixels, log_x=log_x)
    if log_x:
        first = max(first, 1.0)
    inside = extremes(values[(steps >= first) & (steps <= last)])
    shown = extremes(y[(x >= first) & (x <= last)])
    assert shown == inside
    assert (np.diff(x) >= 0).all()
    assert len(x) <= 2 * (pixels + 6)
    # What is drawn was measured.
    known = dict(zip(steps.tolist(), values.tolist(), strict=True))
    finite = np.isfinite(y)
    assert all(known[int(step)] == value for step, value in zip(x[finite], y[finite], strict=True))


def test_that_a_neighbor_outside_does_not_hide_what_is_inside() -> None:
    values = np.zeros(74)
    values[[0, 2, 19]] = -1738.0, -1361.0, -2000.0
    pyramid = filled(
        np.arange(74), values, [], Pyramid(samples=4096, buckets=64, head=16, batch=16)
    )
    x, y = pyramid.view(0.57, 18.25, 1)
    inside = (x >= 0.57) & (x <= 18.25)
    assert (x[inside & (y < 0)].tolist(), y[inside].min()) == ([2.0], -1361.0)


@settings(max_examples=500, deadline=None)
@given(
    series(most=12_000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 300),
    st.booleans(),
    st.booleans(),
)
def test_that_nothing_is_lost_from_a_view_of_what_has_become_coarse(
    data, a, b, pixels, log_x, positive
) -> None:
    steps, values, cuts = data
    pyramid = filled(steps, values, cuts, small())
    first, last = sorted(
        (steps[0] + a * (steps[-1] - steps[0]), steps[0] + b * (steps[-1] - steps[0]))
    )
    x, y = pyramid.view(first, last, pixels, log_x=log_x, positive=positive)
    part = values[(steps >= (max(first, 1) if log_x else first)) & (steps <= last)]
    inside = extremes(part[part > 0] if positive else part)
    shown = extremes(y)
    if inside is not None:
        # Rows at either end may reach over it, so more may be shown, but nothing less.
        assert shown is not None
        assert shown[0] <= inside[0]
        assert shown[1] >= inside[1]
    assert not positive or not (y <= 0).any()
    assert (np.diff(x) >= 0).all()


@settings(max_examples=100, deadline=None)
@given(series(), st.floats(-0.1, 1.1), st.floats(-0.1, 1.1), st.booleans())
def test_that_bounds_are_those_of_all_samples(data, a, b, positive) -> None:
    steps, values, cuts = data
    pyramid = filled(steps, values, cuts, Pyramid(samples=4096, buckets=64, head=16, batch=16))
    first, last = sorted(
        (steps[0] + a * (steps[-1] - steps[0]), steps[0] + b * (steps[-1] - steps[0]))
    )
    part = values[(steps >= first) & (steps <= last)]
    assert pyramid.bounds(first, last, positive=positive) == extremes(
        part[part > 0] if positive else part
    )
    whole = filled(steps, values, cuts, small())
    assert whole.bounds(positive=positive) == extremes(values[values > 0] if positive else values)


@pytest.mark.parametrize("place", [0, 1, 777, 123_456, 500_000, 868_927, 868_928, 999_997, 999_999])
def test_that_a_spike_of_one_sample_in_a_million_is_drawn_at_its_step(place: int) -> None:
    values = np.random.default_rng(0).normal(size=1_000_000)
    values[place] = 1e4
    pyramid = Pyramid()
    for begin in range(0, len(values), 10_007):
        block = values[begin : begin + 10_007]
        pyramid.append(np.arange(begin, begin + len(block)), block)
    for pixels in (50, 1000):
        x, y = pyramid.view(0, 999_999, pixels)
        assert (place, 1e4) in set(zip(x.tolist(), y.tolist(), strict=True))
    assert pyramid.bounds()[1] == 1e4


def test_that_small_blocks_and_one_large_block_draw_the_same() -> None:
    values = np.random.default_rng(1).normal(size=200_000)
    steps = np.arange(len(values))
    large, small_blocks = Pyramid(), Pyramid()
    large.append(steps, values)
    for begin in range(0, len(values), 37):
        small_blocks.append(steps[begin : begin + 37], values[begin : begin + 37])
    for a, b in zip(large.view(0, 2e5, 800), small_blocks.view(0, 2e5, 800), strict=True):
        np.testing.assert_array_equal(a, b)


def test_that_memory_stays_bounded_and_the_whole_run_visible() -> None:
    pyramid = Pyramid(samples=4096, buckets=1024, head=64, batch=64)
    held = []
    for begin in range(0, 4_000_000, 50_000):
        pyramid.append(np.arange(begin, begin + 50_000), np.sin(np.arange(begin, begin + 50_000)))
        held.append(pyramid.bytes)
    # A level more with each factor of four.
    assert held[-1] - held[len(held) // 4] <= 2 * 1024 * 48 * 1.5
    x, _ = pyramid.view(0, 4_000_000, 200)
    assert x[0] < 40_000
    assert x[-1] > 3_960_000
    assert np.diff(x).max() < 3 * 4_000_000 / 200


def test_that_a_million_steps_cost_a_few_megabytes() -> None:
    pyramid = Pyramid()
    pyramid.append(np.arange(1_000_000), np.zeros(1_000_000))
    assert pyramid.bytes < 6e6


def test_that_gaps_stay_gaps() -> None:
    values = np.ones(100_000)
    values[40_000:60_000] = np.nan
    values[70_000] = np.inf
    pyramid = Pyramid()
    pyramid.append(np.arange(100_000), values)
    x, y = pyramid.view(0, 1e5, 500)
    inside = (x > 40_300) & (x < 59_700)
    assert inside.sum() > 50
    assert np.isnan(y[inside]).all()
    outside = (x < 39_700) | (x > 60_300)
    assert (y[outside] == 1.0).all()
    x, y = pyramid.view(69_998, 70_002, 500)
    assert np.isnan(y[x == 70_000]).all()


def test_that_a_log_axis_shows_the_first_steps_of_a_long_run_one_by_one() -> None:
    pyramid = Pyramid()
    pyramid.append(np.arange(1_000_001), np.random.default_rng(0).normal(size=1_000_001))
    x, _ = pyramid.view(0, 1_000_000, 1000, log_x=True)
    assert set(range(1, 40)) <= set(x.tolist())
    # The pixels are shared evenly by the decades.
    decades = np.histogram(np.log10(x), bins=range(2, 7))[0]
    assert decades.min() > 100
    assert len(x) < 2100


def test_that_drawn_points_do_not_shimmer_while_a_run_grows() -> None:
    values = np.random.default_rng(2).normal(size=20_000)
    pyramid = Pyramid()
    pyramid.append(np.arange(19_000), values[:19_000])
    before = set(zip(*(a.tolist() for a in pyramid.view(0, 18_999, 700)), strict=True))
    pyramid.append(np.arange(19_000, 19_010), values[19_000:19_010])
    after = set(zip(*(a.tolist() for a in pyramid.view(0, 19_009, 700)), strict=True))
    assert len(before - after) <= 4


def test_that_a_reading_is_the_nearest_sample_or_the_bucket_around_it() -> None:
    pyramid = small()
    assert pyramid.reading(3) is None
    values = np.random.default_rng(3).normal(size=10_000)
    pyramid.append(np.arange(0, 20_000, 2), values)
    exact = pyramid.reading(19_900.9)
    assert (exact.first, exact.last, exact.lowest) == (19_900, 19_900, values[9950])
    assert pyramid.reading(1e12).lowest == values[-1]
    assert pyramid.reading(-5).lowest == values[0]
    coarse = pyramid.reading(5001.0)
    part = values[coarse.first // 2 : coarse.last // 2 + 1]
    assert coarse.first <= 5001 <= coarse.last
    assert (coarse.lowest, coarse.highest) == (part.min(), part.max())


def test_that_nothing_and_one_sample_and_only_gaps_are_fine() -> None:
    pyramid = Pyramid()
    assert pyramid.bounds() is None
    assert len(pyramid.view(0, 10, 100)[0]) == 0
    pyramid.append([], [])
    assert len(pyramid) == 0
    pyramid.append([10**9], [1e300])
    assert pyramid.bounds() == (1e300, 1e300)
    assert pyramid.view(0, 2e9, 100) == ([1e9], [1e300])
    assert pyramid.bounds(0, 5) is None
    blank = Pyramid()
    blank.append(np.arange(5000), np.full(5000, math.nan))
    assert blank.bounds() is None
    assert np.isnan(blank.view(0, 5000, 100)[1]).all()


@pytest.mark.parametrize(("steps", "values"), [([3, 3], [1, 1]), ([5, 4], [1, 1]), ([1, 2], [1])])
def test_that_steps_that_do_not_increase_are_refused(steps: list[int], values: list[float]) -> None:
    with pytest.raises(ValueError):
        Pyramid().append(steps, values)


def test_that_a_step_already_there_is_refused() -> None:
    pyramid = Pyramid()
    pyramid.append([1, 2], [0.0, 0.0])
    with pytest.raises(ValueError):
        pyramid.append([2], [0.0])
