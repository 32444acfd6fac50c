"""From two samples, or several along a number, to an estimate of their effect."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from optlab.core.errors import InvalidInput
from optlab.studies.comparison.estimate import Estimate
from optlab.studies.comparison.means import BootstrapMeans, Means
from optlab.studies.comparison.ranks import Ranks
from optlab.studies.comparison.rule import EffectKind, Rule
from optlab.studies.comparison.samples import Sample
from optlab.studies.comparison.statement import Criterion, Interval, Statement

_NOUNS: dict[tuple[EffectKind, bool], str] = {
    ("difference", True): "mean of the paired differences",
    ("ratio", True): "geometric mean of the paired ratios",
    ("log-ratio", True): "mean of the paired log-ratios",
    ("difference", False): "difference of means",
    ("ratio", False): "ratio of geometric means",
    ("log-ratio", False): "difference of mean logarithms",
}
_SHIFTS: dict[EffectKind, str] = {
    "difference": "median of all differences",
    "ratio": "median of all ratios",
    "log-ratio": "median of all log-ratios",
}
_ROUNDING = 8.0 * float(np.finfo(np.float64).eps)


class Scale:
    """Between the scale on which an effect is estimated and the one on which it is shown."""

    def __init__(self, rule: Rule, statement: Statement) -> None:
        self._ratio = rule.effect == "ratio"
        ends = sorted({statement.low, statement.high})
        self.criterion = Criterion(
            tuple(math.log(end) if self._ratio else end for end in ends),
            lambda interval: statement.verdict(self.interval(interval)) != "undecided",
        )

    def effect(self, value: float) -> float:
        """Return an effect as it is shown."""
        if not self._ratio:
            return value
        with np.errstate(over="ignore"):
            return float(np.exp(value))

    def interval(self, ends: Interval) -> Interval:
        """Return an interval as it is shown."""
        return self.effect(ends[0]), self.effect(ends[1])


def logarithms(sample: Sample, name: str, what: str) -> Sample:
    """Return the natural logarithms of a sample; a bound below 0 counts as 0.

    Raises:
        InvalidInput: a value is not positive.
    """
    wrong = (sample.high <= 0.0) | (~sample.censored & (sample.low <= 0.0))
    if wrong.any():
        seed = int(np.argmax(wrong))
        raise InvalidInput(
            f"{what} needs positive values, but arm {name!r} has {sample.high[seed]:g} at seed "
            f"{seed}; compare by difference instead",
            "decide.effect",
        )
    with np.errstate(divide="ignore"):
        return Sample(np.log(np.maximum(sample.low, 0.0)), np.log(sample.high))


def paired(arms: Sequence[Sample], weights: Sequence[float], rule: Rule, noun: str) -> Estimate:
    """Return the estimate of a weighted sum of arms that is taken seed by seed.

    Args:
        arms: on the scale of the estimate, with equally many seeds.
        weights: one an arm.
        noun: what the effect is if all values are known.
    """
    low = np.zeros(arms[0].n)
    high, size = low.copy(), low.copy()
    for arm, weight in zip(arms, weights, strict=True):
        ends = (arm.low, arm.high) if weight >= 0.0 else (arm.high, arm.low)
        if weight:  # 0 times infinity is no number
            low, high = low + weight * ends[0], high + weight * ends[1]
            size = size + abs(weight) * np.maximum(
                np.abs(arm.low), 1.0 if rule.logarithmic else 0.0
            )
    if (low < high).any():
        return Ranks.paired(low, high)
    return _means(rule)([low], [1.0], noun, _ROUNDING * float(size.max()))


def unpaired(arm: Sample, against: Sample, rule: Rule) -> Estimate:
    """Return the estimate of the effect of one arm against another with seeds of its own."""
    if arm.censored.any() or against.censored.any():
        return Ranks.unpaired(
            arm.low[:, None] - against.high[None, :],
            arm.high[:, None] - against.low[None, :],
            _SHIFTS[rule.effect],
        )
    groups, weights = [arm.low, against.low], [1.0, -1.0]
    return _means(rule)(groups, weights, _NOUNS[rule.effect, False])


def effect_of(arms: Sequence[tuple[str, Sample]], rule: Rule) -> Estimate:
    """Return the estimate of the effect of the first of two arms against the second.

    Raises:
        InvalidInput: the values do not fit the effect, or do not come in pairs.
    """
    samples = [sample for _, sample in arms]
    if rule.logarithmic:
        samples = [logarithms(sample, name, f"a {rule.effect}") for name, sample in arms]
    if not rule.paired:
        return unpaired(samples[0], samples[1], rule)
    check_pairs(arms)
    return paired(samples, [1.0, -1.0], rule, _NOUNS[rule.effect, True])


def check_pairs(arms: Sequence[tuple[str, Sample]]) -> None:
    """Check that arms have the same number of seeds.

    Raises:
        InvalidInput: they do not.
    """
    (first, one), *others = arms
    for name, other in others:
        if other.n != one.n:
            raise InvalidInput(
                f"arms that are paired by seed have equally many seeds, but {first!r} has {one.n} "
                f"and {name!r} has {other.n}",
                "seeds.paired",
            )


def _means(rule: Rule) -> type[Means]:
    return BootstrapMeans if rule.method == "bootstrap" else Means
