"""Several comparisons and several looks: Holm's procedure, and what is left of the level."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from optlab.core.errors import InvalidInput
from optlab.studies.comparison.adjustment import step_down
from optlab.studies.comparison.rule import Relation, Rule
from optlab.studies.comparison.samples import Sample
from optlab.studies.comparison.statistics import compare, trend

# p-values, and those adjusted by statsmodels 0.15, multipletests(method="holm")
HOLM = [
    ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
    ([0.001, 0.2, 0.012, 0.04, 0.9], [0.005, 0.4, 0.048, 0.12, 0.9]),
    ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
    ([0.6, 0.7], [1.0, 1.0]),
    ([0.049], [0.049]),
]


@pytest.mark.parametrize("probabilities, expected", HOLM)
def test_that_probabilities_are_adjusted_as_holm_does(
    probabilities: list[float], expected: list[float]
) -> None:
    decides = [lambda alpha, p=p: p <= alpha for p in probabilities]
    alphas, adjusted = step_down(probabilities, decides, 0.05)
    assert adjusted == pytest.approx(expected)
    rejected = [p <= alpha for p, alpha in zip(probabilities, alphas, strict=True)]
    assert rejected == [p <= 0.05 for p in expected]


def test_that_all_after_the_first_undecided_one_are_made_at_its_level() -> None:
    probabilities = [0.04, 0.001, 0.045]
    decides = [lambda alpha, p=p: p <= alpha for p in probabilities]
    alphas, _ = step_down(probabilities, decides, 0.05)
    assert alphas == pytest.approx([0.025, 0.05 / 3, 0.025])


def arms(effects: dict[str, float], n: int = 8) -> dict[str, Sample]:
    shape = stats.norm.ppf((np.arange(n) + 0.5) / n)
    return {
        name: Sample.exact(effect + shape * (1.0 if effect else 0.0))
        for name, effect in effects.items()
    }


def test_that_each_interval_is_the_one_at_the_level_of_its_comparison() -> None:
    samples = arms({"base": 0.0, "far": 3.0, "near": 0.9, "same": 0.1})
    pairs: list[tuple[str, Relation, str]] = [
        ("same", ">", "base"),
        ("far", ">", "base"),
        ("near", ">", "base"),
    ]
    found = {c.arm: c for c in compare(samples, pairs, Rule("difference", 0.0))}
    assert [c.arm for c in found.values()] == ["same", "far", "near"]
    levels = {"far": 1 - 0.05 / 3, "near": 1 - 0.05 / 2, "same": 1 - 0.05 / 2}
    for name, level in levels.items():
        expected = stats.ttest_1samp(samples[name].low, 0.0)
        assert found[name].level == pytest.approx(level)
        assert found[name].interval == pytest.approx(tuple(expected.confidence_interval(level)))
        assert found[name].p == pytest.approx(expected.pvalue)
    alone = compare(samples, pairs[2:], Rule("difference", 0.0))[0]
    assert (alone.verdict, found["near"].verdict) == ("supported", "undecided")
    assert found["near"].p_adjusted == pytest.approx(2 * alone.p)


def test_that_a_look_has_its_share_of_the_level() -> None:
    samples = arms({"base": 0.0, "near": 0.9})
    pairs: list[tuple[str, Relation, str]] = [("near", ">", "base")]
    once = compare(samples, pairs, Rule("difference", 0.0))[0]
    (thrice,) = compare(samples, pairs, Rule("difference", 0.0, looks=(8, 16, 32)))
    assert thrice.level == pytest.approx(1 - 0.05 / 3)
    assert thrice.p == once.p and thrice.p_adjusted == pytest.approx(3 * once.p)
    assert (once.verdict, thrice.verdict) == ("supported", "undecided")
    both = [*pairs, ("base", "<", "near")]
    assert compare(samples, both, Rule("difference", 0.0, looks=(8, 16)))[0].level == (
        pytest.approx(1 - 0.05 / 4)
    )


def test_that_another_look_is_refused() -> None:
    samples = arms({"base": 0.0, "near": 0.9}, 9)
    rule = Rule("difference", 0.0, looks=(8, 16, 32))
    with pytest.raises(InvalidInput, match=r"8, 16 or 32 seeds, not with 9.*level"):
        compare(samples, [("near", ">", "base")], rule)
    uneven = {**samples, "base": Sample.exact(np.zeros(8))}
    with pytest.raises(InvalidInput, match="not with 9"):
        compare(uneven, [("base", "<", "near")], Rule("difference", 0.0, paired=False, looks=(8,)))
    with pytest.raises(InvalidInput, match="not with 9"):
        trend(samples, {"base": 1, "near": 2}, "rises", Rule("slope", 0.0, looks=(8, 16)))
    only = compare(samples, [("near", ">", "base")], Rule("difference", 0.0, looks=(9,)))
    assert only[0].level == 0.95
