"""What is prepared for plots in the background: samples, averages and bands of many runs."""

from __future__ import annotations

import numpy as np
import pytest

from optlab.gui.plots.overlay import SeriesKey
from optlab.gui.plots.smoothing import Average, moving_average
from optlab.gui.runs.overlay_task import common, drawn, joined, spread
from optlab.store import StoredSeries


def test_that_the_moving_average_is_the_recurrence_without_its_bias() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    values[[3, 500]] = np.nan
    whole, _ = moving_average(values, 0.9)
    expected, sum_, share = np.full(1000, np.nan), 0.0, 0.0
    for number, value in enumerate(values):
        if np.isfinite(value):
            sum_, share = 0.9 * sum_ + 0.1 * value, 0.9 * share + 0.1
            expected[number] = sum_ / share
    np.testing.assert_allclose(whole, expected, rtol=1e-12)
    first, state = moving_average(values[:417], 0.9)
    rest, end = moving_average(values[417:], 0.9, state)
    np.testing.assert_allclose(np.concatenate([first, rest]), expected, rtol=1e-12)
    assert end.share == pytest.approx(share) and first[0] == pytest.approx(values[0])
    assert moving_average(np.full(2, np.nan), 0.5)[1] == Average()


def test_that_a_band_is_the_mean_and_the_ends_at_common_steps() -> None:
    found = [
        (np.array([1, 2, 3, 4]), np.array([1.0, 2.0, 3.0, 4.0])),
        (np.array([2, 4, 6]), np.array([4.0, 8.0, 12.0])),
        (np.array([0, 2, 4]), np.array([9.0, 0.0, 0.0])),
    ]
    steps, values = common(found)
    assert steps.tolist() == [2, 4]
    mean, low, high = spread(values, "range")
    assert (mean.tolist(), low.tolist(), high.tolist()) == ([2.0, 4.0], [0.0, 0.0], [4.0, 8.0])
    _, low, high = spread(values, "quartiles")
    assert (low.tolist(), high.tolist()) == ([1.0, 2.0], [3.0, 6.0])


def test_that_what_is_read_later_goes_on() -> None:
    before = StoredSeries(np.array([1, 2]), np.array([10.0, 20.0]))
    new = StoredSeries(np.array([2, 3]), np.array([21.0, 30.0]))
    both = joined(before, new)
    assert both.steps.tolist() == [1, 2, 3] and both.values.tolist() == [10.0, 20.0, 30.0]
    assert joined(None, new) is new and joined(before, None) is before


def test_that_the_last_value_of_a_step_counts() -> None:
    series = StoredSeries(np.array([1, 2, 2, 3]), np.array([1.0, 2.0, 7.0, 3.0]))
    steps, values = drawn(series, SeriesKey("e"))
    assert steps.tolist() == [1, 2, 3] and values.tolist() == [1.0, 7.0, 3.0]


def test_that_percent_and_gaps_are_those_of_the_plot() -> None:
    series = StoredSeries(np.array([1, 2, 3]), np.array([0.5, np.nan, 0.25]))
    steps, values = drawn(series, SeriesKey("e", 100.0, sparse=True))
    assert steps.tolist() == [1, 3] and values.tolist() == [50.0, 25.0]
