"""Rules that the parts of a study must obey together."""

from __future__ import annotations

from collections.abc import Iterator

from optlab.catalogue.instruments.base import Instrument
from optlab.catalogue.measures.base import Measure
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown
from optlab.studies.comparison.claim import TrendClaim
from optlab.studies.comparison.fields import Measured
from optlab.studies.comparison.outcomes import PAIRED
from optlab.studies.comparison.study import Study

MAX_TRIALS = 100_000
END_FIGURES = (
    "test_loss",
    "test_error",
    "test_minus_train",
    "test_minus_validation",
    "gradient_norm_at_start",
)
"""Figures of a run's end that are no series."""


def check(study: Study) -> None:
    """Check that the parts of a study fit each other.

    Raises:
        InvalidInput: they do not.
    """
    for problem in _problems(study):
        raise problem


def _instrument_series(*, vector: bool) -> list[str]:
    """Return the names of the series of instruments with one number a step, or with several."""
    return [
        f"{instrument.name}.{quantity.name}"
        for instrument in registry.components(Instrument)
        for quantity in instrument.gives
        if quantity.vector == vector
    ]


def _problems(study: Study) -> Iterator[InvalidInput]:
    for arm in study.arms:
        yield from measure_problems(study.measured_of(arm.name))
    yield from _decision_problems(study)
    yield from _tuning_problems(study)
    trials = len(study.names) * study.seeds.count + len(study.arms) * study.tuning_runs
    if trials > MAX_TRIALS:
        yield InvalidInput(
            f"This study has {trials:,} runs, more than {MAX_TRIALS:,}; give fewer seeds, arms or "
            "settings.",
            "seeds.count",
        )


def measure_problems(measured: Measured) -> Iterator[InvalidInput]:
    """Yield what is wrong with what is measured."""
    vectors = _instrument_series(vector=True)
    known = [*registry.names(Measure), *_instrument_series(vector=False), *vectors, *END_FIGURES]
    if measured.of not in known:
        yield InvalidInput(
            f"measure.of is {shown(measured.of)}, which is no measure"
            f"{did_you_mean(measured.of, known)}; see optlab list measures.",
            "measure.of",
        )
    paired = measured.what in PAIRED
    if paired != bool(measured.other) or (paired and measured.other not in known):
        yield InvalidInput(
            f"measure.other is {shown(measured.other)}, but with what = {measured.what!r} it must "
            f"be {'another measure' if paired else 'left out'}.",
            "measure.other",
        )
    if (measured.of in vectors) != bool(measured.part):
        yield InvalidInput(
            f"measure.part is {measured.part!r}, but {measured.of!r} has "
            + (
                "several numbers a step; say which one."
                if measured.of in vectors
                else "one number a step; leave it out."
            ),
            "measure.part",
        )
    if measured.of == "weights":
        yield InvalidInput(
            "measure.of is 'weights', which has many numbers a step; choose a measure with one.",
            "measure.of",
        )
    if measured.of in END_FIGURES and measured.what != "final":
        yield InvalidInput(
            f"measure.of is {measured.of!r}, which exists at the end of a run only; set "
            'measure.what = "final".',
            "measure.what",
        )


def _decision_problems(study: Study) -> Iterator[InvalidInput]:
    decision = study.decision
    claim = study.claim
    trend = isinstance(claim, TrendClaim)
    if trend != (decision.effect == "slope"):
        wanted = "slope" if trend else "difference, ratio or log-ratio"
        yield InvalidInput(
            f"decide.effect is {decision.effect!r}, but the statement "
            f"{shown(decision.statement)} is about {'a slope' if trend else 'pairs of arms'}; set "
            f"it to {wanted}.",
            "decide.effect",
        )
    if decision.effect == "ratio" and decision.margin < 1.0:
        yield InvalidInput(
            f"decide.margin is {decision.margin:g}, but the margin of a ratio must be at least 1 "
            "(1 for any ratio).",
            "decide.margin",
        )
    least = 1.0 if decision.effect == "ratio" else 0.0
    equivalence = (
        claim.relation == "slope"
        if isinstance(claim, TrendClaim)
        else any(pair.relation == "~" for pair in claim)
    )
    if equivalence and decision.margin == least:
        yield InvalidInput(
            f"decide.margin is {decision.margin:g}, but nothing is equivalent within that; give "
            "the largest effect that does not matter.",
            "decide.margin",
        )
    if trend:
        for name in study.names:
            study.axis_value(name)
    looks = decision.looks
    if looks and (list(looks) != sorted(set(looks)) or looks[-1] != study.seeds.count):
        yield InvalidInput(
            f"decide.looks is {list(looks)}, but it must rise and end with the number of seeds, "
            f"{study.seeds.count}.",
            "decide.looks",
        )


def _tuning_problems(study: Study) -> Iterator[InvalidInput]:
    efforts = {arm.name: len(arm.settings()) for arm in study.arms}
    if len(set(efforts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in efforts.items())
        yield InvalidInput(
            f"The arms have different numbers of settings ({listed}), so the comparison would not "
            "be fair; give each the same number.",
            "tune",
        )
    tuning = study.tuning
    if tuning is None:
        if study.effort > 1:
            yield InvalidInput(
                "[arms.….tune] has settings, but nothing says how one is chosen; add [tune] with "
                'by, as by = "validation_loss".',
                "tune.by",
            )
        return
    if study.effort < 2:
        yield InvalidInput(
            '[tune] has no field to tune; add one, as "optimizer.lr" = [0.01, 0.1].', "tune"
        )
    known = registry.names(Measure)
    if tuning.by not in known or tuning.by == "weights":
        yield InvalidInput(
            f"tune.by is {shown(tuning.by)}, but it must be a measure with one number a step"
            f"{did_you_mean(tuning.by, known)}; see optlab list measures.",
            "tune.by",
        )
    if any(tuning.by == study.measured_of(arm.name).of for arm in study.arms):
        yield InvalidInput(
            f"tune.by is {tuning.by!r}, which is also what decides; tune by another measure.",
            "tune.by",
        )
