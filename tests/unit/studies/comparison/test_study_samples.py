"""Measured values of an arm, and rules for deciding: what is allowed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from optlab.core.errors import InvalidInput
from optlab.studies.comparison.rule import Rule
from optlab.studies.comparison.samples import Sample


def test_that_a_sample_knows_which_values_are_censored() -> None:
    sample = Sample(np.array([3, 10, -np.inf, 4.0]), np.array([3, np.inf, np.inf, 5.0]))
    assert sample.censored.tolist() == [False, True, True, True]
    assert sample.n == 4 and sample.low.dtype == np.float64
    known = Sample.exact(np.array([1.0, 2.0]))
    assert not known.censored.any() and known.low.tolist() == [1.0, 2.0] == known.high.tolist()
    assert Sample.exact(range(3)).high.tolist() == [0.0, 1.0, 2.0]


def test_that_a_sample_keeps_its_values() -> None:
    values = np.array([1.0, 2.0])
    sample = Sample(values, values)
    values[0] = 7.0
    assert sample.low[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        sample.low[0] = 3.0


def test_that_values_near_the_end_of_the_numbers_are_only_bounded() -> None:
    sample = Sample.exact([1.0, 1.7e308, -1.7e308])
    assert sample.low.tolist() == [1.0, 1e300, -math.inf]
    assert sample.high.tolist() == [1.0, math.inf, -1e300]


@pytest.mark.parametrize(
    "low, high",
    [
        ([], []),
        ([1.0], [1.0, 2.0]),
        ([[1.0]], [[1.0]]),
        ([2.0], [1.0]),
        ([math.nan], [1.0]),
        ([1.0], [math.nan]),
        ([math.inf], [math.inf]),
        ([-math.inf], [-math.inf]),
    ],
)
def test_that_ends_that_enclose_no_value_are_refused(low: Any, high: Any) -> None:
    with pytest.raises(InvalidInput, match="sample"):
        Sample(np.array(low), np.array(high))


@pytest.mark.parametrize(
    "values, field, words",
    [
        ({"effect": "quotient"}, "decide.effect", "difference, ratio, log-ratio, slope"),
        ({"method": "u"}, "decide.method", "auto, t, bootstrap"),
        ({"margin": -0.1}, "decide.margin", "from 0"),
        ({"margin": math.nan}, "decide.margin", "from 0"),
        ({"margin": math.inf}, "decide.margin", "from 0"),
        ({"effect": "ratio", "margin": 0.95}, "decide.margin", "from 1"),
        ({"level": 1.0}, "decide.level", "between 0 and 1"),
        ({"level": 95}, "decide.level", "between 0 and 1"),
        ({"looks": (0, 8)}, "decide.looks", "from 1"),
        ({"looks": (16, 8)}, "decide.looks", "larger than the one"),
        ({"looks": (8, 8)}, "decide.looks", "larger than the one"),
    ],
)
def test_that_a_rule_says_what_is_allowed(values: Any, field: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        Rule(**{"effect": "difference", "margin": 0.0, **values})
    assert caught.value.field == field


def test_that_a_log_ratio_has_its_margin_as_a_logarithm() -> None:
    assert Rule("log-ratio", 0.0).margins == (0.0, 0.0)
    assert Rule("ratio", 1.25).margins == (0.8, 1.25)
    assert Rule("difference", 2.0).margins == (-2.0, 2.0)
