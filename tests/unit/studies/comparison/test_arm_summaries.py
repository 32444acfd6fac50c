"""Mean, interval, median and number of censored values of one arm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from optlab.studies.comparison.samples import Sample
from optlab.studies.comparison.statistics import summary
from optlab.studies.comparison.words import counted_table

VALUES = [3.0, 5.0, 4.0, 9.0, 7.0, 6.0]


def test_that_known_values_have_a_mean_with_its_t_interval() -> None:
    short = summary(Sample.exact(VALUES), 0.9)
    expected = stats.ttest_1samp(VALUES, 0.0).confidence_interval(0.9)
    assert short.mean == pytest.approx(np.mean(VALUES))
    assert short.interval == pytest.approx(tuple(expected))
    assert (short.median, short.censored, short.n, short.method) == (5.5, 0, 6, "mean")


def test_that_censored_values_have_a_restricted_mean() -> None:
    low = np.array([3.0, 5.0, 4.0, 8.0, 7.0, 10.0])
    high = np.array([3.0, 5.0, 4.0, math.inf, 7.0, math.inf])
    short = summary(Sample(low, high), 0.95)
    restricted = np.minimum(low, 8.0)
    survival = stats.ecdf(stats.CensoredData(uncensored=low[low == high], right=low[low < high])).sf
    # area below the Kaplan-Meier curve up to the bound
    steps = np.concatenate([[0.0], survival.quantiles[survival.quantiles < 8.0], [8.0]])
    area = sum(
        (b - a) * (1.0 if a == 0.0 else survival.evaluate(a))
        for a, b in zip(steps, steps[1:], strict=False)
    )
    assert short.mean == pytest.approx(restricted.mean()) == pytest.approx(area)
    assert short.interval == pytest.approx(
        tuple(stats.ttest_1samp(restricted, 0.0).confidence_interval(0.95))
    )
    assert short.median == 6.0 and short.censored == 2
    assert short.method == "restricted mean of min(value, 8)"


def test_that_a_median_is_left_open_where_bounds_leave_it_open() -> None:
    half = Sample(np.array([1.0, 2.0, 5.0, 5.0]), np.array([1.0, 2.0, math.inf, math.inf]))
    assert summary(half, 0.95).median is None and summary(half, 0.95).mean == 3.25
    most = Sample(np.array([1.0, 2.0, 5.0]), np.array([1.0, 2.0, math.inf]))
    assert summary(most, 0.95).median == 2.0


def test_that_no_mean_is_made_up() -> None:
    unknown = summary(Sample(np.array([1.0, -math.inf]), np.array([1.0, math.inf])), 0.95)
    assert (unknown.mean, unknown.interval, unknown.median) == (None, None, None)
    assert unknown.censored == 1 and "unknown" in unknown.method
    one = summary(Sample.exact([4.0]), 0.95)
    assert (one.mean, one.interval, one.median, one.n) == (4.0, None, 4.0, 1)
    stopped = summary(Sample(np.full(3, 9.0), np.full(3, math.inf)), 0.95)
    assert (stopped.mean, stopped.interval, stopped.median) == (9.0, (9.0, 9.0), None)


def test_that_what_was_counted_is_not_shown_as_negative() -> None:
    one = {"mean": 169.0, "interval": [-64.06, 402.1], "median": None, "censored": 1}
    headings, rows = counted_table(
        {"momentum": {"counted": {"steps_to": one}, "seeds": 5, "censored": 1}}
    )
    assert headings == ("Arm", "Steps", "Reached")
    assert rows == [("momentum", "169 [0, 402.1]", "4 of 5")]
