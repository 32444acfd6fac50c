"""How often comparisons decide: of an arm with itself at most as often as the level allows, and of
planted effects as often as theory says.

Seeds are fixed, so that nothing here depends on chance; the bounds are those that a right share
exceeds once in a thousand times. The long form is marked ``soak``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from optlab.studies.comparison import means
from optlab.studies.comparison.rule import Relation, Rule
from optlab.studies.comparison.samples import Sample
from optlab.studies.comparison.statistics import Comparison, compare, trend

Draw = Callable[[np.random.Generator, int], Any]

DRAWS: dict[str, Draw] = {
    "normal": lambda random, n: random.normal(3.0, 1.0, n),
    "lognormal": lambda random, n: random.lognormal(0.0, 1.0, n),
    "steps": lambda random, n: 10.0 * random.integers(3, 12, n),
}


def short_and_long(short: int, long: int) -> Any:
    return pytest.mark.parametrize("times", [short, pytest.param(long, marks=pytest.mark.soak)])


def within(count: int, times: int, share: float, *, at_most: bool = False) -> bool:
    """Whether a count lies where it does 999 in 1,000 times, or not above."""
    low, high = stats.binom.interval(0.999, times, share)
    return (at_most or low <= count) and count <= high


def decided(
    times: int, draw: Draw, n: int, bound: float = math.inf, shift: float = 0.0, **given: Any
) -> list[Comparison]:
    """Compare two arms with the same distribution, the first one shifted, many times."""
    random = np.random.default_rng(20261129)
    rule = Rule(given.pop("effect", "difference"), given.pop("margin", 0.0), **given)
    found = []
    for _ in range(times):
        arms = {}
        for name, by in (("a", shift), ("b", 0.0)):
            values = draw(random, n) + by
            arms[name] = Sample(
                np.minimum(values, bound), np.where(values < bound, values, math.inf)
            )
        found += compare(arms, [("a", "<", "b")], rule)
    return found


def better(found: list[Comparison]) -> int:
    return sum(one.verdict != "undecided" for one in found)


@short_and_long(300, 5000)
@pytest.mark.parametrize("n", [8, 16])
@pytest.mark.parametrize("paired", [True, False])
def test_that_an_arm_is_better_than_itself_as_often_as_the_level_allows(
    paired: bool, n: int, times: int
) -> None:
    found = decided(times, DRAWS["normal"], n, paired=paired)
    assert within(better(found), times, 0.05, at_most=not paired)  # Welch's is not quite exact
    supported = sum(one.verdict == "supported" for one in found)
    assert within(supported, times, 0.025, at_most=not paired)  # either direction
    assert stats.kstest([one.p for one in found], "uniform").pvalue > 1e-3


EVERY_DAY = {("t", "lognormal", 8), ("bootstrap", "lognormal", 8), ("censored", "normal", 16)}
SELVES = [
    pytest.param(
        *case,
        100 if case in EVERY_DAY else 1000,
        marks=[] if case in EVERY_DAY else pytest.mark.soak,
    )
    for case in itertools.product(("t", "bootstrap", "censored"), DRAWS, (8, 16))
]


@pytest.mark.parametrize("method, name, n, times", SELVES)
def test_that_no_method_finds_an_arm_better_than_itself_more_often(
    method: Any, name: str, n: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(means, "RESAMPLES", 1999)
    options: dict[str, Any] = {"method": method}
    if method == "censored":
        options = {"bound": float(np.quantile(DRAWS[name](np.random.default_rng(0), 999), 0.75))}
    for paired in (True, False):
        found = decided(times, DRAWS[name], n, paired=paired, **options)
        assert within(better(found), times, 0.05, at_most=True)
        if method == "censored" and name != "steps":
            assert any("order" in one.method or "Mann" in one.method for one in found)


@short_and_long(300, 3000)
def test_that_ranks_decide_exactly_as_often_as_they_say(times: int) -> None:
    """Of 17 pairs one is censored on both sides, so that it counts against every decision."""

    def draw(random: np.random.Generator, n: int) -> Any:
        values = random.normal(size=n)
        values[0] = abs(values[0]) + 50.0
        return values

    paired = decided(times, draw, 17, bound=49.0)
    # With 17 pairs the interval leaves out four on either side: that one and three of the others.
    exact = 2 * stats.binom.cdf(3, 16, 0.5)
    assert within(better(paired), times, exact)


@short_and_long(150, 2000)
@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_that_planted_effects_are_found_as_often_as_theory_says(margin: float, times: int) -> None:
    n, effect = 12, -0.9
    found = decided(times, DRAWS["normal"], n, shift=effect - margin, margin=margin)
    count = sum(one.verdict == "supported" for one in found)
    noncentrality = effect / math.sqrt(2.0) * math.sqrt(n)
    power = float(stats.nct.cdf(stats.t.ppf(0.025, n - 1), n - 1, noncentrality))
    assert 0.4 < power < 0.6
    assert within(count, times, power)
    assert within(sum(one.verdict == "contradicted" for one in found), times, 0.0005, at_most=True)


@short_and_long(100, 2000)
def test_that_equivalence_is_found_as_often_as_theory_says(times: int) -> None:
    n, margin, spread = 16, 1.2, math.sqrt(2.0)
    random = np.random.default_rng(4)
    count = 0
    for _ in range(times):
        arms = {name: Sample.exact(random.normal(size=n)) for name in ("a", "b")}
        (found,) = compare(arms, [("a", "~", "b")], Rule("difference", margin))
        count += found.verdict == "supported"
    # the mean is normal, and the variance is independent of it
    variance = stats.chi2(n - 1)
    quantile = stats.t.ppf(0.975, n - 1)
    power = variance.expect(
        lambda c: max(
            0.0,
            2
            * stats.norm.cdf(
                (margin - quantile * spread * math.sqrt(c / (n - 1) / n)) / spread * math.sqrt(n)
            )
            - 1,
        )
    )
    assert 0.3 < power < 0.95
    assert within(count, times, float(power))


@short_and_long(300, 3000)
@pytest.mark.parametrize("paired", [True, False])
def test_that_intervals_hold_a_known_effect_as_often_as_they_say(paired: bool, times: int) -> None:
    random = np.random.default_rng(6)
    held = 0
    for _ in range(times):
        arms = {
            "a": Sample.exact(np.exp(random.normal(0.5, 1.0, 9))),
            "b": Sample.exact(np.exp(random.normal(0.0, 0.2, 9 if paired else 20))),
        }
        (found,) = compare(arms, [("a", ">", "b")], Rule("ratio", 1.0, 0.9, paired))
        held += found.interval[0] <= math.exp(0.5) <= found.interval[1]
    assert within(times - held, times, 0.1)


@short_and_long(300, 3000)
def test_that_looks_keep_the_level_and_that_they_would_not_without_their_share(times: int) -> None:
    random = np.random.default_rng(7)
    looks = (8, 16, 32)
    kept, naive = 0, 0
    for _ in range(times):
        a, b = random.normal(size=(2, 32))
        verdicts = []
        for rule in (Rule("difference", 0.0, looks=looks), Rule("difference", 0.0)):
            verdicts.append(
                {
                    compare(
                        {"a": Sample.exact(a[:n]), "b": Sample.exact(b[:n])},
                        [("a", "!=", "b")],
                        rule,
                    )[0].verdict
                    for n in looks
                }
            )
        kept += "supported" in verdicts[0]
        naive += "supported" in verdicts[1]
    assert within(kept, times, 0.05, at_most=True)
    assert not within(naive, times, 0.05, at_most=True)


@short_and_long(200, 3000)
def test_that_several_comparisons_keep_the_level_together(times: int) -> None:
    random = np.random.default_rng(8)
    pairs: list[tuple[str, Relation, str]] = [(arm, "<", "base") for arm in ("a", "b", "c", "d")]
    together, alone = 0, 0
    for _ in range(times):
        arms = {name: Sample.exact(random.normal(size=10)) for name in ("base", "a", "b", "c", "d")}
        found = compare(arms, pairs, Rule("difference", 0.0))
        together += any(one.verdict != "undecided" for one in found)
        alone += any(one.p <= 0.05 for one in found)
    assert within(together, times, 0.05, at_most=True)
    assert not within(alone, times, 0.05, at_most=True)


@short_and_long(200, 2000)
@pytest.mark.parametrize("paired", [True, False])
def test_that_a_trend_is_found_in_nothing_as_often_as_the_level_allows(
    paired: bool, times: int
) -> None:
    random = np.random.default_rng(9)
    x = {"a": 1.0, "b": 2.0, "c": 5.0}
    found = [
        trend(
            {name: Sample.exact(random.normal(size=7)) for name in x},
            x,
            "rises",
            Rule("slope", 0.0, paired=paired),
        )
        for _ in range(times)
    ]
    assert within(better(found), times, 0.05)
