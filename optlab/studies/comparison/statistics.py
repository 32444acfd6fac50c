"""Comparisons of arms by their measured values: effects, intervals, verdicts.

The interval of each comparison is the one at its level after adjustment for the other comparisons
(Holm) and for the looks, and its verdict is what that interval says: the two never disagree. The
p-value is the smallest ``1 - level`` at which the interval would decide.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optlab.core.errors import InvalidInput
from optlab.studies.comparison.adjustment import step_down
from optlab.studies.comparison.effects import Scale, effect_of
from optlab.studies.comparison.estimate import Estimate
from optlab.studies.comparison.means import Means
from optlab.studies.comparison.ranks import middle
from optlab.studies.comparison.rule import Relation, Rule, Verdict
from optlab.studies.comparison.samples import Sample
from optlab.studies.comparison.statement import Interval, Statement
from optlab.studies.comparison.trends import slope_of


@dataclass(frozen=True)
class Comparison:
    """What was found of one statement about two arms, or about a trend over arms.

    Attributes:
        arm, against: names; of a trend, the arms by ascending number, and "".
        effect: of ``arm`` against ``against``, not a number if nothing is known of it.
        interval: its ends, infinite where they are not known.
        level: confidence level of this interval, after adjustment.
        p: smallest ``1 - level`` at which the interval would decide.
        p_adjusted: the same for all comparisons and looks together.
        seeds_needed: of an undecided comparison, the number of seeds at which the present effect
            and spread would decide; None if it is decided, if the effect lies at the margin, or if
            the spread is not known.
        method: how effect and interval were computed, a short phrase.
    """

    arm: str
    against: str
    relation: Relation
    effect: float
    interval: Interval
    level: float
    p: float
    p_adjusted: float
    verdict: Verdict
    seeds_needed: int | None
    method: str


@dataclass(frozen=True)
class ArmSummary:
    """The values of one arm in short.

    Attributes:
        mean: of the values; of censored ones the restricted mean, see ``method``; None if unknown.
        interval: t interval of the mean, None from one seed or without a mean.
        median: None if the bounds of censored values leave it open.
        censored: number of values that are not known. n: number of seeds.
        method: how the mean was computed.
    """

    mean: float | None
    interval: Interval | None
    median: float | None
    censored: int
    n: int
    method: str = "mean"


@dataclass(frozen=True)
class _Case:
    arm: str
    against: str
    relation: Relation
    statement: Statement
    scale: Scale
    estimate: Estimate
    seeds: int


def compare(
    samples: Mapping[str, Sample], pairs: Sequence[tuple[str, Relation, str]], rule: Rule
) -> list[Comparison]:
    """Return what is found of each statement ``(arm, relation, against)``, in the order given.

    A statement is supported if the whole interval satisfies it with the margin, contradicted if the
    whole interval refutes it, and else undecided. "<" and ">" state that the arm is smaller or
    larger by more than the margin, "~" that both differ by at most the margin, "!=" by more.

    Raises:
        InvalidInput: an arm or a relation is not known, values do not fit the effect, paired arms
            have different numbers of seeds, or the rule does not allow a look at this number.
    """
    cases = []
    for arm, relation, against in pairs:
        if relation not in ("<", ">", "~", "!=") or rule.effect == "slope":
            raise InvalidInput(
                f"two arms are compared by <, >, ~ or != and by a difference or a ratio, not by "
                f"{relation!r} and a {rule.effect}; a slope needs arms that are ordered by a number",
                "decide.statement",
            )
        arms = [(name, _sample(samples, name)) for name in (arm, against)]
        statement = Statement.of(relation, rule.margins)
        scale = Scale(rule, statement)
        seeds = min(sample.n for _, sample in arms)
        estimate = effect_of(arms, rule)
        cases.append(_Case(arm, against, relation, statement, scale, estimate, seeds))
    names = dict.fromkeys(name for arm, _, against in pairs for name in (arm, against))
    return _decide(cases, rule, [samples[name] for name in names])


def trend(
    samples: Mapping[str, Sample],
    x: Mapping[str, float],
    relation: Relation,
    rule: Rule,
    *,
    expected: float = 0.0,
    log_x: bool = False,
    log_y: bool = False,
) -> Comparison:
    """Return what is found of a trend of the values over a number that orders the arms.

    The effect is the slope of a straight line by least squares, of logarithms where asked for: with
    both, the exponent of a power. Paired, there is a slope a seed and an interval of their mean, or
    of their median if values are censored; unpaired, there is one regression over all values.
    "rises" states a slope above the margin, "falls" one below minus the margin, "slope" one that
    differs from ``expected`` by at most the margin.

    Args:
        samples: the values of each arm.
        x: the number of each arm.
        relation: "rises", "falls" or "slope".
        rule: with the effect "slope".
        expected: the slope that "slope" states.
        log_x, log_y: whether the natural logarithm of the numbers, or of the values, is taken.

    Raises:
        InvalidInput: the relation or the effect is not one of a trend, numbers are missing, equal
            or not positive for a logarithm, values do not fit, or the rule does not allow a look.
    """
    if relation not in ("rises", "falls", "slope") or rule.effect != "slope":
        raise InvalidInput(
            "a trend over arms is stated by rises, falls or slope, with the effect slope, not by "
            f"{relation!r} with the effect {rule.effect}",
            "decide.statement",
        )
    center = expected if relation == "slope" else 0.0
    statement = Statement.of(relation, (center - rule.margin, center + rule.margin))
    arms = sorted(samples, key=lambda name: x.get(name, 0.0))
    estimate = slope_of(samples, x, rule, log_x=log_x, log_y=log_y)
    seeds = min(sample.n for sample in samples.values())
    scale = Scale(rule, statement)
    case = _Case(", ".join(arms), "", relation, statement, scale, estimate, seeds)
    return _decide([case], rule, list(samples.values()))[0]


def _decide(cases: list[_Case], rule: Rule, samples: Iterable[Sample]) -> list[Comparison]:
    looks = max((rule.look(sample.n) for sample in samples), default=1)
    probabilities = [case.estimate.p_value(case.scale.criterion) for case in cases]
    alphas, adjusted = step_down(
        probabilities,
        [functools.partial(_decides, case) for case in cases],
        (1.0 - rule.level) / looks,
    )
    found = []
    for case, p, alpha, p_adjusted in zip(cases, probabilities, alphas, adjusted, strict=True):
        interval = case.scale.interval(case.estimate.interval(alpha))
        verdict = case.statement.verdict(interval)
        found.append(
            Comparison(
                case.arm,
                case.against,
                case.relation,
                case.scale.effect(case.estimate.effect),
                interval,
                1.0 - alpha,
                p,
                min(1.0, looks * p_adjusted),
                verdict,
                _seeds_needed(case, alpha) if verdict == "undecided" else None,
                case.estimate.method,
            )
        )
    return found


def _decides(case: _Case, alpha: float) -> bool:
    return case.scale.criterion.decided(case.estimate.interval(alpha))


def _seeds_needed(case: _Case, alpha: float) -> int | None:
    found = case.estimate.seeds_needed(case.scale.criterion, alpha)
    # The plan is less exact than the interval that has just not decided.
    return None if found is None else max(found, case.seeds + 1)


def _sample(samples: Mapping[str, Sample], name: str) -> Sample:
    if name not in samples:
        raise InvalidInput(
            f"there is no arm {name!r} to compare; the arms are {', '.join(map(repr, samples))}",
            "decide.statement",
        )
    return samples[name]


def summary(sample: Sample, level: float) -> ArmSummary:
    """Return mean with interval, median, and the number of censored values of an arm.

    With censored values the mean is the restricted mean: of the smaller of value and bound, where
    the bound is the smallest one at which a value was censored. It is known for every seed.
    """
    censored = int(sample.censored.sum())
    least, most = middle(sample.low), middle(sample.high)
    median = least if least == most else None
    bound = float(sample.low[sample.censored].min(initial=np.inf))
    if bound == -np.inf:
        return ArmSummary(None, None, median, censored, sample.n, "no mean: a value is unknown")
    means = Means([np.minimum(sample.low, bound)], [1.0], "mean")
    interval = means.interval(1.0 - level) if sample.n > 1 else None
    method = f"restricted mean of min(value, {bound:g})" if censored else "mean"
    return ArmSummary(means.effect, interval, median, censored, sample.n, method)


def overall(comparisons: Iterable[Comparison]) -> Verdict:
    """Return the verdict on several statements together.

    Supported if every one is, contradicted if any one is (whatever the others are), else undecided,
    as no statement at all is.
    """
    verdicts = [comparison.verdict for comparison in comparisons]
    if "contradicted" in verdicts:
        return "contradicted"
    return "supported" if verdicts and set(verdicts) == {"supported"} else "undecided"
