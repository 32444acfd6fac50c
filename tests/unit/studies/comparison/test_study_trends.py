"""Slopes over arms that are ordered by a number, against SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from optlab.core.errors import InvalidInput
from optlab.studies.comparison.rule import Rule
from optlab.studies.comparison.samples import Sample
from optlab.studies.comparison.statistics import Comparison, trend

X = {"small": 1.0, "large": 16.0, "middle": 4.0, "none": 0.5}
Y = {
    "small": np.array([2.0, 2.3, 1.9, 2.2, 2.6, 2.1]),
    "large": np.array([7.5, 8.8, 8.1, 7.9, 8.3, 9.6]),
    "middle": np.array([4.2, 3.7, 4.0, 4.4, 4.5, 3.9]),
    "none": np.array([1.4, 1.5, 1.2, 1.6, 1.3, 1.7]),
}
SAMPLES = {name: Sample.exact(values) for name, values in Y.items()}


def found(relation: Any = "rises", margin: float = 0.0, samples: Any = None, **given: Any) -> Any:
    options = {key: given.pop(key) for key in ("expected", "log_x", "log_y") if key in given}
    rule = Rule("slope", margin, **given)
    return trend(SAMPLES if samples is None else samples, X, relation, rule, **options)


@pytest.mark.parametrize("log_x, log_y", [(False, False), (True, False), (True, True)])
def test_that_a_paired_trend_is_the_mean_of_the_slopes_of_the_seeds(
    log_x: bool, log_y: bool
) -> None:
    x = np.array([X[name] for name in Y])
    slopes = [
        stats.linregress(np.log(x) if log_x else x, np.log(y) if log_y else y).slope
        for y in np.stack(list(Y.values()), axis=1)
    ]
    expected = stats.ttest_1samp(slopes, 0.0)
    trended = found(log_x=log_x, log_y=log_y)
    assert trended.effect == pytest.approx(np.mean(slopes), rel=1e-10)
    assert trended.interval == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-9)
    assert trended.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert (trended.arm, trended.against) == ("none, small, middle, large", "")
    assert (trended.verdict, trended.level) == ("supported", 0.95)


def test_that_an_unpaired_trend_is_one_regression() -> None:
    samples = {**SAMPLES, "large": Sample.exact(Y["large"][:3])}
    x = np.concatenate([np.full(samples[name].n, X[name]) for name in samples])
    y = np.concatenate([samples[name].low for name in samples])
    expected = stats.linregress(np.log(x), y)
    trended = found(samples=samples, paired=False, log_x=True)
    reach = stats.t.ppf(0.975, x.size - 2) * expected.stderr
    assert trended.effect == pytest.approx(expected.slope)
    assert trended.interval == pytest.approx((expected.slope - reach, expected.slope + reach))
    assert trended.p == pytest.approx(expected.pvalue, rel=1e-6)


def test_that_a_power_has_its_exponent_as_slope() -> None:
    random = np.random.default_rng(0)
    samples = {
        name: Sample.exact(3.0 * x**-0.5 * np.exp(0.01 * random.normal(size=8)))
        for name, x in X.items()
    }
    for paired in (True, False):
        options = dict(samples=samples, paired=paired, log_x=True, log_y=True)
        assert found("slope", 0.05, expected=-0.5, **options).verdict == "supported"
        assert found("slope", 0.05, expected=0.5, **options).verdict == "contradicted"
        assert found("slope", 0.05, expected=-0.6, **options).verdict == "contradicted"
        assert found("falls", **options).verdict == "supported"
        assert found("falls", 0.4, **options).verdict == "supported"
        assert found("falls", 0.6, **options).verdict == "contradicted"
        assert found("rises", **options).verdict == "contradicted"
        assert found("rises", 0.6, **options).verdict == "contradicted"
        # what slope is expected is not what rising and falling are about
        assert found("falls", expected=-2.0, **options).verdict == "supported"


@pytest.mark.parametrize("paired", [True, False])
def test_that_a_bootstrap_of_a_trend_is_near_the_t_interval(paired: bool) -> None:
    t = found(paired=paired)
    bootstrap = found(paired=paired, method="bootstrap")
    assert bootstrap.effect == pytest.approx(t.effect)
    assert "bootstrap" in bootstrap.method and bootstrap.interval != t.interval
    reach = t.interval[1] - t.interval[0]
    assert bootstrap.interval == pytest.approx(t.interval, abs=reach if not paired else reach / 2)


def test_that_a_trend_over_two_arms_is_their_difference() -> None:
    samples = {name: SAMPLES[name] for name in ("small", "middle")}
    expected = stats.ttest_rel(Y["middle"], Y["small"])
    trended = found(samples=samples)
    per_unit = np.array(expected.confidence_interval(0.95)) / 3.0
    assert trended.interval == pytest.approx(tuple(per_unit))


def test_that_censored_values_bound_the_slope_of_their_seed() -> None:
    """A bound at the large end can only make the trend steeper, one at the small end flatter."""
    steep = {**SAMPLES, "large": Sample(np.full(6, 7.0), np.full(6, math.inf))}
    trended = found(samples=steep)
    assert trended.verdict == "supported" and trended.interval[1] == math.inf
    assert "order statistics" in trended.method
    assert trended.interval[0] > 0.0
    flat = {**SAMPLES, "none": Sample(np.full(6, 7.0), np.full(6, math.inf))}
    assert found(samples=flat).interval[0] == -math.inf
    assert found(samples=flat).verdict == "undecided"
    with pytest.raises(InvalidInput, match=r"'large' has censored values.*pair"):
        found(samples=steep, paired=False)


def test_that_values_on_a_line_have_a_point_as_interval() -> None:
    line = {name: Sample.exact(0.1 + 0.3 * np.full(4, x)) for name, x in X.items()}
    for paired in (True, False):
        trended: Comparison = found(samples=line, paired=paired)
        assert trended.interval == (trended.effect, trended.effect)
        assert trended.effect == pytest.approx(0.3) and "no spread" in trended.method
    one = {name: Sample.exact([x]) for name, x in X.items()}
    assert found(samples=one).interval == (-math.inf, math.inf)
    assert found(samples={"small": one["small"], "large": one["large"]}, paired=False).p == 1.0


@pytest.mark.parametrize("paired", [True, False])
def test_that_a_trend_says_how_many_seeds_would_decide(paired: bool) -> None:
    random = np.random.default_rng(1)
    shape = random.normal(size=(4, 3))

    def at(n: int) -> Comparison:
        many = {
            name: Sample.exact(0.05 * x + np.resize(shape[i], n))
            for i, (name, x) in enumerate(X.items())
        }
        return found(samples=many, paired=paired)

    seeds = at(3).seeds_needed
    assert seeds is not None and at(3).verdict == "undecided"
    # repeating the three seeds keeps their spread but for the divisor
    assert at(3 * math.ceil(seeds * 1.5 / 3)).verdict != "undecided"
    assert at(max(3, 3 * math.floor(seeds * 0.6 / 3))).verdict == "undecided"


def test_that_a_trend_refuses_what_it_cannot_use() -> None:
    with pytest.raises(InvalidInput, match="rises, falls or slope"):
        trend(SAMPLES, X, "<", Rule("slope", 0.0))
    with pytest.raises(InvalidInput, match="effect slope"):
        trend(SAMPLES, X, "rises", Rule("difference", 0.0))
    with pytest.raises(InvalidInput, match=r"arm 'none' has nan \(none\)"):
        trend(SAMPLES, {k: v for k, v in X.items() if k != "none"}, "rises", Rule("slope", 0.0))
    with pytest.raises(InvalidInput, match=r"positive number.*'none' has -1"):
        trend(SAMPLES, {**X, "none": -1.0}, "rises", Rule("slope", 0.0), log_x=True)
    with pytest.raises(InvalidInput, match="two different"):
        trend(SAMPLES, dict.fromkeys(X, 2.0), "rises", Rule("slope", 0.0))
    with pytest.raises(InvalidInput, match=r"positive values.*'small'"):
        found(samples={**SAMPLES, "small": Sample.exact(np.zeros(6))}, log_y=True)
    with pytest.raises(InvalidInput, match="equally many"):
        found(samples={**SAMPLES, "small": Sample.exact([1.0, 2.0])})
