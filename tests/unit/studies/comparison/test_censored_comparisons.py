"""Values that are only bounded: medians with intervals from ranks, against published values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from optlab.studies.comparison.distributions import binomial_tails, rank_tails
from optlab.studies.comparison.ranks import Ranks
from optlab.studies.comparison.rule import Relation, Rule
from optlab.studies.comparison.samples import Sample
from optlab.studies.comparison.statistics import Comparison, compare

# Freireich et al., The effect of 6-mercaptopurine on the duration of steroid-induced remissions in
# acute leukemia, Blood 21 (1963): weeks in remission of 21 pairs of patients.
PLACEBO = [1, 22, 3, 12, 8, 17, 2, 11, 8, 12, 2, 5, 4, 15, 8, 23, 5, 11, 4, 1, 8]
TREATED = [10, 7, 32, 23, 22, 6, 16, 34, 32, 25, 11, 20, 19, 6, 17, 35, 6, 13, 9, 6, 10]
RELAPSED = [1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0]


def censored(values: Any, known: Any) -> Sample:
    low = np.array(values, dtype=float)
    return Sample(low, np.where(np.array(known, dtype=bool), low, math.inf))


LEUKEMIA = {"placebo": Sample.exact(PLACEBO), "treated": censored(TREATED, RELAPSED)}


def compared(
    a: Sample, b: Sample, relation: Relation = "<", margin: float = 0.0, **rule: Any
) -> Comparison:
    effect = rule.pop("effect", "difference")
    return compare({"a": a, "b": b}, [("a", relation, "b")], Rule(effect, margin, **rule))[0]


def test_that_the_pairs_of_the_leukemia_trial_decide_as_published() -> None:
    """The trial was stopped because the treated patient did better in 18 of 21 pairs."""
    rule = Rule("difference", 0.0)
    (found,) = compare(LEUKEMIA, [("treated", ">", "placebo")], rule)
    assert found.verdict == "supported"
    assert found.p == pytest.approx(stats.binomtest(18, 21).pvalue, rel=1e-12)
    # 15 of 21: ranks 6 and 16 of the differences, 17+ - 8 and so on; the upper ends are unknown
    differences = np.sort(np.subtract(TREATED, PLACEBO))
    assert found.interval == (differences[5], math.inf)
    assert found.method.startswith("median of the pairs, order statistics")


def test_that_the_arms_of_the_leukemia_trial_decide_as_the_log_rank_test() -> None:
    known = np.array(RELAPSED, dtype=bool)
    times = np.array(TREATED, dtype=float)
    log_rank = stats.logrank(
        stats.CensoredData(uncensored=times[known], right=times[~known]),
        stats.CensoredData(uncensored=PLACEBO),
    )
    assert log_rank.statistic**2 == pytest.approx(16.79, abs=0.005)  # as published
    for effect, margin in (("difference", 0.0), ("ratio", 1.0)):
        rule = Rule(effect, margin, paired=False)
        (found,) = compare(LEUKEMIA, [("placebo", "<", "treated")], rule)
        assert found.verdict == "supported"
        # the ranks need no assumption about why patients left, and pay for it
        assert log_rank.pvalue < found.p < 0.01
        assert found.interval[0] in (-math.inf, 0.0)
        assert found.interval[1] < margin


def test_that_it_matters_which_side_is_censored() -> None:
    early = Sample.exact([10, 12, 11, 14, 13, 12, 10, 11])
    late = Sample(np.full(8, 20.0), np.full(8, math.inf))  # all stopped at 20
    never = Sample(np.full(8, -math.inf), np.full(8, 20.0))  # all before 20
    for paired in (True, False):
        assert compared(early, late, paired=paired).verdict == "supported"
        assert compared(late, early, paired=paired).verdict == "contradicted"
        assert compared(late, early, ">", paired=paired).verdict == "supported"
        assert compared(early, never, paired=paired).verdict == "undecided"
        found = compared(early, late, paired=paired)
        assert found.interval[0] == -math.inf and found.interval[1] < -5.0
        assert "at most" in found.method and found.effect == pytest.approx(-8.5)
        assert compared(early, late, margin=5.0, paired=paired).verdict == "supported"
        assert compared(early, late, margin=9.5, paired=paired).verdict == "undecided"
        assert compared(early, late, "~", 5.0, paired=paired).verdict == "contradicted"
        assert compared(early, late, "~", 9.5, paired=paired).verdict == "undecided"
        ratio = compared(early, late, margin=1.25, effect="ratio", paired=paired)
        assert ratio.verdict == "supported" and ratio.interval[0] == 0.0


def test_that_nothing_is_known_where_all_are_censored() -> None:
    late = Sample(np.full(30, 20.0), np.full(30, math.inf))
    unknown = Sample(np.full(30, -math.inf), np.full(30, math.inf))
    for paired in (True, False):
        for a, b in ((late, late), (late, unknown), (unknown, late), (unknown, unknown)):
            found = compared(a, b, paired=paired)
            assert found.interval == (-math.inf, math.inf) and math.isnan(found.effect)
            assert (found.verdict, found.p, found.seeds_needed) == ("undecided", 1.0, None)
            assert "unknown" in found.method
        assert compared(late, unknown, margin=1.0, effect="ratio", paired=paired).interval == (
            0.0,
            math.inf,
        )


def test_that_a_value_between_two_evaluations_is_used_as_such() -> None:
    a = Sample(np.full(8, 100.0), np.full(8, 110.0))
    b = Sample(np.full(8, 130.0), np.full(8, 140.0))
    found = compared(a, b)
    assert found.interval == (-40.0, -20.0)
    assert found.effect == -30.0 and "middle" in found.method


@pytest.mark.parametrize(
    "n, rank, level",  # as in tables of confidence limits for a median
    [(6, 1, 0.96875), (8, 1, 0.992188), (10, 2, 0.978516), (15, 4, 0.964844), (20, 6, 0.958611)],
)
def test_that_the_interval_of_a_median_ends_at_the_published_ranks(
    n: int, rank: int, level: float
) -> None:
    values = np.arange(n, dtype=float)
    found = Ranks.paired(values, values).interval(0.05)
    assert found == (rank - 1, n - rank)
    assert 1.0 - binomial_tails(n)[rank - 1] == pytest.approx(level, abs=1e-6)
    exactly = float(binomial_tails(n)[rank - 1])
    assert Ranks.paired(values, values).interval(exactly) == found
    assert Ranks.paired(values, values).interval(exactly * 0.999) != found


def test_that_five_pairs_decide_nothing() -> None:
    five = censored([1, 1, 1, 1, 9], [1, 1, 1, 1, 0])
    found = compared(five, Sample.exact([20.0] * 4 + [5.0]))
    assert found.interval == (-math.inf, math.inf) and found.p >= 2 / 2**5
    assert found.verdict == "undecided"


def test_that_the_interval_of_a_shift_is_hodges_and_lehmanns() -> None:
    """Hollander and Wolfe, Nonparametric statistical methods (1973), 69f: permeability constants,
    with an estimate of 0.305 and limits of -0.15 and 0.76.
    """
    x = np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46])
    y = np.array([1.15, 0.88, 0.90, 0.74, 1.21])
    differences = x[:, None] - y[None, :]
    found = Ranks.unpaired(differences, differences, "")
    assert found.effect == pytest.approx(0.305)
    assert found.interval(0.05) == pytest.approx((-0.15, 0.76))


@pytest.mark.parametrize("first, second", [(1, 1), (1, 6), (3, 4), (8, 8), (5, 11), (16, 16)])
def test_that_ranks_have_the_distribution_of_mann_and_whitney(first: int, second: int) -> None:
    random = np.random.default_rng(first)
    tails = rank_tails(first, second)
    assert tails.size == first * second // 2 + 1
    for _ in range(20):
        a, b = random.normal(size=first), random.normal(size=second)
        expected = stats.mannwhitneyu(a, b, method="exact")
        u = min(expected.statistic, first * second - expected.statistic)
        assert tails[int(u)] == pytest.approx(expected.pvalue, rel=1e-9)


def test_that_many_ranks_are_approximated_as_scipy_does() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=200), random.normal(0.2, size=150)
    expected = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=True)
    u = int(min(expected.statistic, 30_000 - expected.statistic))
    assert rank_tails(200, 150)[u] == pytest.approx(expected.pvalue, rel=1e-9)
    counted, near = rank_tails(128, 128), rank_tails(128, 129)
    assert np.abs(counted[6000:8000] - near[6064:8064]).max() < 0.01


@pytest.mark.parametrize("paired", [True, False])
def test_that_the_verdict_is_that_of_known_values_where_bounds_leave_no_doubt(
    paired: bool,
) -> None:
    """Ranks see no more of 50 and 60 than that they are larger than all others."""
    known = [50.0, 60.0]
    a = np.array([3.0, 5.0, 4.0, 6.0, 7.0, 5.5, 4.5, 6.5, 3.5, 5.2])
    b = np.array([8.0, 9.0, 7.5, 9.5, 8.8, 9.2, 8.1, 7.9, *known])
    bounded = Sample(np.minimum(b, 20.0), np.where(b > 20.0, math.inf, b))
    low = compared(Sample.exact(a), bounded, paired=paired)
    expected = (
        stats.binomtest(0, 10).pvalue if paired else stats.mannwhitneyu(a, b, method="exact").pvalue
    )
    assert low.p == pytest.approx(expected) and low.verdict == "supported"


@pytest.mark.parametrize("paired", [True, False])
def test_that_bounds_only_widen_the_interval(paired: bool) -> None:
    """Wherever the values lie within their bounds, the interval of the values lies within."""
    random = np.random.default_rng(3)
    for _ in range(50):
        n = int(random.integers(6, 14))
        a, b = random.exponential(10, n), random.exponential(15, n)
        bounds = {"a": censored_at(a, random.uniform(5, 30)), "b": censored_at(b, 20.0)}
        if not (bounds["a"].censored.any() or bounds["b"].censored.any()):
            continue
        (wide,) = compare(bounds, [("a", "<", "b")], Rule("difference", 0.0, paired=paired))
        differences = a - b if paired else a[:, None] - b[None, :]
        narrow = (
            Ranks.paired(differences, differences)
            if paired
            else Ranks.unpaired(differences, differences, "")
        ).interval(0.05)
        assert wide.interval[0] <= narrow[0] and narrow[1] <= wide.interval[1]


def censored_at(values: Any, bound: float) -> Sample:
    return censored(np.minimum(values, bound), values < bound)


def test_that_one_censored_value_does_not_change_how_others_are_compared() -> None:
    arms = {
        "a": Sample.exact(np.arange(8.0)),
        "b": Sample.exact(np.arange(8.0)[::-1]),
        "c": censored_at(np.arange(8.0), 6.5),
    }
    found = compare(arms, [("a", "~", "b"), ("a", "~", "c")], Rule("difference", 1.0))
    assert "t interval" in found[0].method and "order statistics" in found[1].method


@pytest.mark.parametrize("paired", [True, False])
def test_that_the_seeds_needed_decide_if_the_ranks_stay_as_they_are(paired: bool) -> None:
    a = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 30.0, 31.0])
    b = np.array([11.0, 12.5, 13.2, 14.7, 15.1, 16.3, 7.0, 8.0])
    arms = [Sample.exact(a), censored_at(b, 16.0)]
    seeds = compared(*arms, paired=paired).seeds_needed
    assert seeds is not None and seeds > 8

    def repeated(times: int) -> Comparison:
        return compared(
            *[Sample(np.tile(x.low, times), np.tile(x.high, times)) for x in arms],
            paired=paired,
        )

    assert repeated(-(-seeds // 8)).verdict != "undecided"
    assert repeated((seeds - 4) // 8).verdict == "undecided"
