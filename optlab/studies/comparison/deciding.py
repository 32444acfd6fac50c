"""The decision of a study: its arms are compared as the statement says."""

from __future__ import annotations

from collections.abc import Mapping

from optlab.studies.comparison.claim import TrendClaim
from optlab.studies.comparison.fields import TO_TARGET, Measured
from optlab.studies.comparison.outcomes import Unit
from optlab.studies.comparison.results import ArmResult, StudyResult
from optlab.studies.comparison.rule import Rule
from optlab.studies.comparison.statistics import compare, overall, trend
from optlab.studies.comparison.study import Study
from optlab.studies.comparison.trial_records import sample_of


def decide(study: Study, arms: Mapping[str, ArmResult], seeds: int, seconds: float) -> StudyResult:
    """Return the result of a study.

    Args:
        arms: what they came to. seeds: runs of each arm. seconds: that the study took.

    Raises:
        InvalidInput: the values do not allow the effect, for example the ratio of negative ones.
    """
    decision, claim = study.decision, study.claim
    samples = {name: sample_of(arm.outcomes) for name, arm in arms.items()}
    rule = Rule(
        effect=decision.effect,
        margin=decision.margin,
        level=decision.level,
        paired=study.seeds.paired,
        method=decision.method,
        looks=decision.looks,
    )
    if isinstance(claim, TrendClaim):
        x = {name: study.axis_value(name) for name in study.names}
        comparisons = [
            trend(
                samples,
                x,
                claim.relation,
                rule,
                expected=claim.expected,
                log_x=decision.axes in ("log-x", "log-log"),
                log_y=decision.axes in ("log-y", "log-log"),
            )
        ]
    else:
        pairs = [(pair.arm, pair.relation, pair.against) for pair in claim]
        comparisons = compare(samples, pairs, rule)
    return StudyResult(
        question=study.question,
        statement=described(study),
        unit=unit_words(study),
        verdict=overall(comparisons),
        seeds=seeds,
        effort=study.effort,
        arms=arms,
        comparisons=comparisons,
        seconds=seconds,
    )


def is_decided(result: StudyResult) -> bool:
    """Return whether nothing more can be learned from further seeds."""
    return all(comparison.verdict != "undecided" for comparison in result.comparisons)


def described(study: Study) -> str:
    """Return the statement, or what takes its place where a study has none."""
    return study.decision.statement or "every two arms differ"


def unit_words(study: Study) -> str:
    """Return what is measured of the arms of a study, arm by arm where they differ."""
    words = {arm.name: measure_words(study.measured_of(arm.name)) for arm in study.arms}
    words |= {arm.name: arm.probe.words() for arm in study.probes}
    different = dict.fromkeys(words.values())
    if len(different) == 1:
        return next(iter(different))
    return "; ".join(f"{name}: {phrase}" for name, phrase in words.items())


def measure_words(measured: Measured) -> str:
    """Return what is measured, as a short phrase."""
    words = _what_words(measured)
    if measured.part:
        words += f", {measured.part} of each step"
    return words if measured.times == 1.0 else f"{measured.times:g} × {words}"


def _what_words(measured: Measured) -> str:
    if measured.what in TO_TARGET:
        sign = "≤" if measured.reached == "below" else "≥"
        return f"{Unit[measured.what]} to {measured.of} {sign} {measured.target:g}"
    sign = "≤" if measured.reached == "below" else "≥"
    since = f" from step {measured.step:,} on" if measured.step else ""
    return {
        "at": f"{measured.of} at step {measured.step:,}",
        "when": f"{measured.of} when {measured.other} {sign} {measured.target:g}",
        "agreement": f"share of readings at which {measured.of} and {measured.other} move alike",
        "order": f"order of {measured.of} in the step{since}",
        "mean": f"mean {measured.of}{since}",
    }.get(measured.what, f"{measured.what} {measured.of}")
