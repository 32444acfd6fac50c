"""Effects and intervals of two arms with known values, against SciPy."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from optlab.core.errors import InvalidInput
from optlab.studies.comparison.means import RESAMPLES, BootstrapMeans
from optlab.studies.comparison.rule import EffectKind, Relation, Rule
from optlab.studies.comparison.samples import Sample
from optlab.studies.comparison.statistics import Comparison, compare

A = np.array([4.1, 3.9, 5.2, 4.4, 6.0, 4.9, 5.5, 4.2])
B = np.array([3.0, 3.1, 4.9, 3.9, 4.1, 5.0, 4.4, 3.6])


def compared(
    a: Any, b: Any, effect: EffectKind = "difference", relation: Relation = ">", **rule: Any
) -> Comparison:
    arms = {"a": Sample.exact(a), "b": Sample.exact(b)}
    margin = rule.pop("margin", 1.0 if effect == "ratio" else 0.0)
    return compare(arms, [("a", relation, "b")], Rule(effect, margin, **rule))[0]


def near(expected: Sequence[float]) -> Any:
    return pytest.approx(tuple(map(float, expected)), rel=1e-10)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_that_a_paired_comparison_has_the_t_interval_of_the_differences(level: float) -> None:
    found = compared(A, B, level=level)
    expected = stats.ttest_rel(A, B)
    assert found.interval == near(expected.confidence_interval(level))
    assert found.p == pytest.approx(expected.pvalue, rel=1e-10) == found.p_adjusted
    assert found.effect == pytest.approx(A.mean() - B.mean()) and found.effect > 0
    assert found.level == pytest.approx(level)
    assert (found.arm, found.relation, found.against) == ("a", ">", "b")


def test_that_the_first_arm_is_compared_with_the_second() -> None:
    found = compared(A, B)
    assert (found.verdict, compared(B, A).verdict) == ("supported", "contradicted")
    assert compared(B, A).interval == near([-found.interval[1], -found.interval[0]])
    assert compared(A, B, relation="<").verdict == "contradicted"
    assert compared(B, A, relation="<").verdict == "supported"


def test_that_a_margin_is_what_the_p_value_is_about() -> None:
    found = compared(A, B, margin=0.25)
    expected = stats.ttest_1samp(A - B, 0.25)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-10)
    assert found.interval == near(expected.confidence_interval(0.95))
    # of an equivalence it is the nearer margin
    assert compared(A, B, relation="~", margin=2.0).p == pytest.approx(
        stats.ttest_1samp(A - B, 2.0).pvalue, rel=1e-10
    )


def test_that_ratios_are_those_of_geometric_means() -> None:
    expected = stats.ttest_1samp(np.log(A / B), 0.0)
    found, logarithmic = compared(A, B, "ratio"), compared(A, B, "log-ratio")
    assert found.effect == pytest.approx(stats.gmean(A) / stats.gmean(B), rel=1e-12)
    assert found.interval == near(np.exp(expected.confidence_interval(0.95)))
    assert logarithmic.effect == pytest.approx(math.log(found.effect), rel=1e-12)
    assert logarithmic.interval == near(expected.confidence_interval(0.95))
    assert found.p == pytest.approx(expected.pvalue, rel=1e-10) == logarithmic.p
    assert compared(B, A, "ratio").effect == pytest.approx(1.0 / found.effect)


@pytest.mark.parametrize("effect", ["difference", "ratio", "log-ratio"])
def test_that_unpaired_arms_have_welchs_interval(effect: EffectKind) -> None:
    a, b = A, np.array([1.0, 7.0, 4.1, 2.2, 5.0])  # other spread, other number of seeds
    logarithmic = effect != "difference"
    expected = stats.ttest_ind(
        *((np.log(a), np.log(b)) if logarithmic else (a, b)), equal_var=False
    )
    interval = expected.confidence_interval(0.95)
    found = compared(a, b, effect, paired=False)
    assert found.interval == near(np.exp(interval) if effect == "ratio" else interval)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-10)
    assert "Welch" in found.method


@pytest.mark.parametrize(
    "arms", [[np.log(A / B)], [np.log(A), np.sqrt(B[:5])]], ids=["paired", "unpaired"]
)
def test_that_percentiles_are_efrons(arms: list[Any]) -> None:
    """SciPy is given our resamples, so that there is no chance in the comparison."""

    def effect(*parts: Any, axis: int = -1) -> Any:
        means = [np.mean(part, axis=axis) for part in parts]
        return means[0] if len(parts) == 1 else means[0] - means[1]

    ours = BootstrapMeans(arms, [1.0, -1.0][: len(arms)], "effect")
    drawn = stats.bootstrap(arms, effect, n_resamples=100, method="BCa")
    for level in (0.5, 0.9, 0.99):
        expected = stats.bootstrap(
            arms,
            effect,
            n_resamples=0,
            method="BCa",
            confidence_level=level,
            bootstrap_result=dataclasses.replace(drawn, bootstrap_distribution=ours._resampled),
        )
        assert ours.percentiles((1.0 - level) / 2) == pytest.approx(
            # A resample that holds each value once has the mean of the values but for rounding,
            # and SciPy leaves it to rounding whether it counts.
            tuple(expected.confidence_interval),
            rel=1e-4,
        )


@pytest.mark.parametrize("paired", [True, False])
def test_that_resamples_spread_as_scipys(paired: bool) -> None:
    values = [A - B] if paired else [A, B]

    def effect(*parts: Any, axis: int = -1) -> Any:
        means = [np.mean(part, axis=axis) for part in parts]
        return means[0] if paired else means[0] - means[1]

    ours = BootstrapMeans(values, [1.0, -1.0][: len(values)], "effect")._resampled
    theirs = stats.bootstrap(values, effect, n_resamples=20_000, rng=1).bootstrap_distribution
    assert stats.ks_2samp(ours, theirs).statistic < 0.015
    assert ours.size == RESAMPLES


@pytest.mark.parametrize("paired", [True, False])
def test_that_a_bootstrap_interval_is_repeatable_mirrored_and_wider_than_t(paired: bool) -> None:
    found = compared(A, B, method="bootstrap", paired=paired)
    again = compared(A, B, method="bootstrap", paired=paired)
    assert found == again
    mirrored = compared(B, A, method="bootstrap", paired=paired)
    assert mirrored.interval == near([-found.interval[1], -found.interval[0]])
    assert mirrored.p == pytest.approx(found.p)
    t = compared(A, B, method="t", paired=paired)
    assert found.interval[0] <= t.interval[0] < t.interval[1] <= found.interval[1]
    assert found.interval != t.interval and "bootstrap" in found.method
    assert compared(A, B, paired=paired) == t  # "auto"


def test_that_a_bootstrap_claims_no_more_than_its_resamples_resolve() -> None:
    found = compared(A + 100.0, B, method="bootstrap", level=0.9999)
    assert found.interval == (-math.inf, math.inf) and found.verdict == "undecided"
    assert 0.005 < found.p < 0.02  # 8 values, however clear


@pytest.mark.parametrize("method", ["t", "bootstrap"])
def test_that_one_seed_decides_nothing(method: Any) -> None:
    for paired in (True, False):
        found = compared([100.0], [1.0], method=method, paired=paired)
        assert found.effect == 99.0 and found.interval == (-math.inf, math.inf)
        assert (found.verdict, found.p, found.seeds_needed) == ("undecided", 1.0, None)
        assert "no interval" in found.method
    uneven = compared([100.0, 101.0, 99.0], [1.0], method=method, paired=False)
    assert uneven.interval == (-math.inf, math.inf) and uneven.verdict == "undecided"


@pytest.mark.parametrize("method", ["t", "bootstrap"])
def test_that_equal_differences_are_a_point_and_said_to_be(method: Any) -> None:
    # 0.3 - 0.2 and 0.1 - 0.0 are not the same number.
    found = compared([0.3, 0.1, 1.1], [0.2, 0.0, 1.0], method=method)
    assert found.interval == (found.effect, found.effect) and found.effect == pytest.approx(0.1)
    assert (found.verdict, found.p) == ("supported", 0.0)
    assert "no spread" in found.method
    same = compared(A, A, method=method)
    assert same.interval == (0.0, 0.0)
    assert (same.verdict, same.p, same.seeds_needed) == ("undecided", 1.0, None)
    assert compared(A, A, relation="~", method=method).verdict == "supported"
    assert compared(A, A, relation="!=", method=method).verdict == "undecided"
    assert compared(A, A, "ratio", "~", method=method).verdict == "supported"
    flat = compared([2.0, 2.0], [1.0, 1.0, 1.0], paired=False, method=method)
    assert flat.interval == (1.0, 1.0) and "no spread" in flat.method


@pytest.mark.parametrize("scale", [1e-200, 1e200])
@pytest.mark.parametrize("method", ["t", "bootstrap"])
def test_that_the_size_of_the_values_does_not_matter(scale: float, method: Any) -> None:
    for paired in (True, False):
        found = compared(A * scale, B * scale, method=method, paired=paired)
        plain = compared(A, B, method=method, paired=paired)
        assert found.interval == near([end * scale for end in plain.interval])
        assert found.p == pytest.approx(plain.p)


def test_that_values_that_do_not_fit_are_refused_in_words() -> None:
    with pytest.raises(InvalidInput, match=r"positive.*'b' has 0 at seed 1.*difference"):
        compared(A[:2], [1.0, 0.0], "ratio")
    with pytest.raises(InvalidInput, match=r"'a' has 8 and 'b' has 5"):
        compared(A, B[:5])
    arms = {"a": Sample.exact(A), "b": Sample.exact(B)}
    with pytest.raises(InvalidInput, match=r"no arm 'c'.*'a', 'b'"):
        compare(arms, [("a", "<", "c")], Rule("difference", 0.0))
    with pytest.raises(InvalidInput, match="slope"):
        compare(arms, [("a", "rises", "b")], Rule("difference", 0.0))
    with pytest.raises(InvalidInput, match="slope"):
        compare(arms, [("a", "<", "b")], Rule("slope", 0.0))
    assert compare(arms, [], Rule("difference", 0.0)) == []


def test_that_statistics_need_neither_torch_nor_all_of_scipy() -> None:
    code = (
        "import sys\n"
        "from optlab.studies.comparison.samples import Sample\n"
        "from optlab.studies.comparison.rule import Rule\n"
        "from optlab.studies.comparison.statistics import compare\n"
        "assert 'scipy' not in sys.modules\n"
        "arms = {'a': Sample.exact([1, 2, 4]), 'b': Sample.exact([0, 3, 1])}\n"
        "compare(arms, [('a', '<', 'b')], Rule('difference', 0.0, method='bootstrap'))\n"
        "print(*(name in sys.modules for name in ('torch', 'scipy.stats', 'scipy.special')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "False", "True"], done.stderr
