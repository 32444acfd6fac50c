"""What an interval says about a statement, and that verdict, interval and p-value agree."""

from __future__ import annotations

import math
from typing import Any, get_args

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from scipy import stats

from optlab.studies.comparison import means
from optlab.studies.comparison.rule import EffectKind, Relation, Rule, Verdict
from optlab.studies.comparison.samples import Sample
from optlab.studies.comparison.statement import Statement
from optlab.studies.comparison.statistics import Comparison, compare, overall

S, C, U = get_args(Verdict)

VERDICTS = {
    # interval: with the margins -1 and 1, verdicts on <, >, ~, !=
    (-3.0, -2.0): (S, C, C, S),
    (-3.0, -1.0): (U, C, U, U),
    (-3.0, -0.5): (U, C, U, U),
    (-3.0, 3.0): (U, U, U, U),
    (-1.0, 1.0): (U, U, S, U),
    (-0.9, 0.5): (C, C, S, C),
    (0.5, 0.9): (C, C, S, C),
    (0.5, 2.0): (C, U, U, U),
    (1.0, 2.0): (C, U, U, U),
    (1.1, 2.0): (C, S, C, S),
    (2.0, math.inf): (C, S, C, S),
    (-math.inf, math.inf): (U, U, U, U),
}


@pytest.mark.parametrize("interval, verdicts", VERDICTS.items())
def test_that_the_whole_interval_gives_the_verdict(interval: Any, verdicts: Any) -> None:
    for relation, verdict in zip(("<", ">", "~", "!="), verdicts, strict=True):
        assert Statement.of(relation, (-1.0, 1.0)).verdict(interval) == verdict, relation
    for relation, like in (("falls", "<"), ("rises", ">"), ("slope", "~")):
        same = [Statement.of(r, (-1.0, 1.0)).verdict(interval) for r in (relation, like)]
        assert same[0] == same[1]


def test_that_without_a_margin_nothing_contradicts_a_difference() -> None:
    different = Statement.of("!=", (0.0, 0.0))
    assert different.verdict((0.0, 0.0)) == U
    assert different.verdict((-1e-9, 1e-9)) == U
    assert different.verdict((1e-9, 2e-9)) == S
    assert Statement.of("~", (0.0, 0.0)).verdict((0.0, 0.0)) == S


def test_that_the_boundaries_of_a_ratio_are_the_margin_and_its_inverse() -> None:
    """The ratios 0.70 to 0.74 and their inverses, about margins of 1.25 (0.8) and 1.5 (0.67)."""
    b = np.ones(8)
    a = b * np.array([0.70, 0.71, 0.72, 0.73, 0.74, 0.72, 0.71, 0.73])
    expected = {
        ("a", "<", "b", 1.25): S,
        ("a", "<", "b", 1.5): C,
        ("a", ">", "b", 1.25): C,
        ("a", "~", "b", 1.25): C,
        ("a", "~", "b", 1.5): S,
        ("a", "!=", "b", 1.25): S,
        ("a", "!=", "b", 1.5): C,
        ("b", ">", "a", 1.25): S,
        ("b", ">", "a", 1.5): C,
        ("b", "<", "a", 1.25): C,
        ("b", "~", "a", 1.5): S,
        ("b", "!=", "a", 1.25): S,
    }
    arms = {"a": Sample.exact(a), "b": Sample.exact(b)}
    for paired in (True, False):
        for (arm, relation, against, margin), verdict in expected.items():
            for effect, bound in (("ratio", margin), ("log-ratio", math.log(margin))):
                rule = Rule(effect, bound, paired=paired)
                (found,) = compare(arms, [(arm, relation, against)], rule)
                assert found.verdict == verdict, (arm, relation, against, effect, margin)


def by_hand(found: Comparison, rule: Rule) -> str:
    """The verdicts as the definition has them, from what is shown."""
    low, high = found.interval
    m = rule.margin
    least = 1.0 / m if rule.effect == "ratio" else -m
    match found.relation:
        case "<":
            return S if high < least else C if low > least else U
        case ">":
            return S if low > m else C if high < m else U
        case "~":
            return S if least <= low and high <= m else C if high < least or low > m else U
        case _:
            return S if high < least or low > m else C if least < low and high < m else U


@st.composite
def studies(draw: st.DrawFn) -> tuple[dict[str, Sample], list[Any], Rule]:
    effect: EffectKind = draw(st.sampled_from(["difference", "ratio", "log-ratio"]))
    margin = draw(st.sampled_from([0.0, 0.5, 2.0])) + (effect == "ratio")
    paired = draw(st.booleans())
    method = draw(st.sampled_from(["t", "bootstrap"]))
    level = draw(st.sampled_from([0.5, 0.9, 0.95, 0.99]))
    n = draw(st.integers(1, 12))
    looks = draw(st.sampled_from([(), (n,), (n, n + 4)]))
    values = st.one_of(st.integers(1, 8), st.floats(0.01, 50.0))
    arms = {}
    for name in ("a", "b", "c"):
        low = np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype=float)
        shift = draw(st.sampled_from([0.0, 0.0, 5.0]))
        censored = draw(st.booleans()) and draw(st.booleans())
        bound = draw(st.floats(1.0, 20.0)) if censored else math.inf
        low = np.minimum(low + shift, bound)
        arms[name] = Sample(low, np.where(low >= bound, math.inf, low))
    pairs = [
        (a, draw(st.sampled_from(["<", ">", "~", "!="])), b)
        for a, b in draw(
            st.lists(st.sampled_from([("a", "b"), ("a", "c"), ("c", "b")]), min_size=1, max_size=3)
        )
    ]
    return arms, pairs, Rule(effect, margin, level, paired, method, looks)


MIRRORED: dict[Relation, Relation] = {"<": ">", ">": "<", "~": "~", "!=": "!="}


@hypothesis.given(studies())
@hypothesis.settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_that_verdict_interval_and_probability_never_disagree(
    monkeypatch: pytest.MonkeyPatch, study: Any
) -> None:
    monkeypatch.setattr(means, "RESAMPLES", 999)
    arms, pairs, rule = study
    alpha = 1.0 - rule.level
    mirror = compare(arms, [(b, MIRRORED[r], a) for a, r, b in pairs], rule)
    together = compare(arms, pairs, rule)
    for found, mirrored in zip(together, mirror, strict=True):
        assert found.verdict == by_hand(found, rule) == mirrored.verdict
        assert 0.0 <= found.p <= found.p_adjusted <= 1.0
        if not math.isclose(found.p_adjusted, alpha, rel_tol=1e-9):
            assert (found.verdict != U) == (found.p_adjusted < alpha)
        assert found.level > rule.level - 1e-12
        low, high = found.interval
        assert low <= high
        assert math.isnan(found.effect) or low - 1e-9 <= found.effect <= high + 1e-9
        assert found.seeds_needed is None or (
            found.verdict == U and found.seeds_needed > arms["a"].n
        )
        none = 1.0 if rule.effect == "ratio" else 0.0
        if rule.method == "bootstrap" and not rule.paired and found.effect == none:
            continue  # equal arms draw resamples of their own, whichever comes first
        turned = [-high, -low]
        if rule.effect == "ratio":
            turned = [1.0 / high if high else math.inf, 1.0 / low if low else math.inf]
        assert mirrored.interval == pytest.approx(tuple(turned), rel=1e-9, abs=1e-9)
        assert mirrored.p == pytest.approx(found.p, rel=1e-9, abs=1e-12)
    if len(pairs) == 1 and not rule.looks:
        assert together[0].level == rule.level and together[0].p == together[0].p_adjusted


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(
    "relation, margin, effect, spread",
    [
        ("<", 0.0, -0.4, 1.0),
        (">", 0.5, 0.7, 1.0),
        ("<", 0.5, -0.3, 2.0),  # would be contradicted
        ("~", 1.0, 0.2, 1.5),
        ("~", 1.0, 1.3, 1.0),
        ("!=", 0.0, 0.05, 1.0),
        (">", 0.0, 10.0, 40.0),
    ],
)
def test_that_the_seeds_needed_are_the_fewest_with_which_this_effect_and_spread_decide(
    paired: bool, relation: Relation, margin: float, effect: float, spread: float
) -> None:
    def at(n: int) -> Comparison:
        """Samples of n seeds with exactly this effect and spread."""
        shape = stats.norm.ppf((np.arange(n) + 0.5) / n)
        shape *= spread / np.std(shape, ddof=1)
        b = np.zeros(n) if paired else shape * 0.5
        arms = {"a": Sample.exact(effect + shape), "b": Sample.exact(b)}
        return compare(arms, [("a", relation, "b")], Rule("difference", margin, paired=paired))[0]

    seeds = at(4).seeds_needed
    assert seeds is not None and seeds > 4
    assert (at(seeds).verdict, at(seeds - 1).verdict) != (U, U) and at(seeds).verdict != U
    assert at(seeds - 1).verdict == U and at(seeds - 1).seeds_needed == seeds


def test_that_no_number_of_seeds_decides_an_effect_at_the_margin() -> None:
    arms = {"a": Sample.exact([1.0, 3.0, 2.0]), "b": Sample.exact([0.0, 0.0, 0.0])}
    for relation, verdict in ((">", U), ("~", U), ("<", C)):
        (found,) = compare(arms, [("a", relation, "b")], Rule("difference", 2.0))
        assert (found.verdict, found.seeds_needed) == (verdict, None)


def verdicts(*given: Verdict) -> list[Comparison]:
    return [
        Comparison("a", "b", "<", 0.0, (0.0, 0.0), 0.95, 0.0, 0.0, verdict, None, "")
        for verdict in given
    ]


def test_that_several_statements_are_supported_only_together() -> None:
    assert overall(verdicts(S, S)) == S
    assert overall(verdicts(S, U)) == U
    assert overall(verdicts(S, C, U)) == C
    assert overall(verdicts(C)) == C
    assert overall([]) == U
