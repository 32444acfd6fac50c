"""How a stored study stands: its arms with their curves, its leader board, and its result if it has one.

It is read from the store, so that a study is seen alike while this process conducts it, while another
one does, and afterwards.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optlab.experiment import Experiment
from optlab.store import Store
from optlab.store.records import RunRecord, StudyRecord, StudyRun
from optlab.studies.comparison import outcomes, reading
from optlab.studies.comparison.deciding import unit_words
from optlab.studies.comparison.fields import Measured
from optlab.studies.comparison.readings import Values, one_number
from optlab.studies.comparison.statistics import summary
from optlab.studies.comparison.study import Study
from optlab.studies.comparison.trial_records import (
    DONE,
    recorded_outcome,
    sample_of,
    steps_per_epoch,
)
from optlab.tasks.task import Task
from optlab.training.control import Controls

MAX_POINTS = 600
"""Points of a curve: more than a plot is wide."""
_IN_PLACE = {
    "test_error": "validation_error",
    "test_loss": "validation_loss",
    "test_minus_validation": "validation_loss",
    "test_minus_train": "train_loss",
    "gradient_norm_at_start": "gradient_norm",
}
"""Figures of a run's end → the series that is drawn in place of one."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Band:
    """A series over the seeds of an arm.

    Attributes:
        steps: ``[n]``, ascending. mean: over the runs that have a value, ``[n]``. low, high: ends of
            the interval of the mean by Student's t, ``[n]``; NaN from one run. runs: how many have a
            value, ``[n]``.
    """

    steps: NDArray[np.int64]
    mean: Floats
    low: Floats
    high: Floats
    runs: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ArmNews:
    """How an arm stands.

    Attributes:
        name: of the arm. done, total: runs that decide, complete and in all. mean, interval: of what
            is measured of the complete ones; None where unknown. now: mean of the last values of
            the series that is drawn. diverged, censored: of the complete ones. setting: path → value
            of tuned fields, once chosen; where every seed has its own, that of most of them, and
            setting_share says of how many. band: None before there are values.
    """

    name: str
    done: int
    total: int
    mean: float | None = None
    interval: tuple[float, float] | None = None
    now: float | None = None
    diverged: int = 0
    censored: int = 0
    setting: Mapping[str, Any] | None = None
    setting_share: str = ""
    band: Band | None = None


@dataclass(frozen=True)
class RunOfStudy:
    """One run of a study, as a list shows it. ``setting``: path → value of tuned fields."""

    run: str
    arm: str
    role: str
    seed: int
    setting: Mapping[str, Any]
    status: str
    steps: int
    reason: str


@dataclass(frozen=True, eq=False)
class StudyNews:
    """How a study stands.

    Attributes:
        record: of the study; its ``result`` is empty until it is decided. arms: in the order of the
            file. unit: what is measured. series: the one that is drawn. better: whether lower or
            higher values lead. effect, margin: how arms are compared. runs: all of them.
    """

    record: StudyRecord
    arms: tuple[ArmNews, ...]
    unit: str
    series: str
    better: str
    effect: str
    margin: float
    runs: tuple[RunOfStudy, ...]

    def leading(self) -> list[ArmNews]:
        """Return the arms, the one that leads first; those without a value last.

        While no run of an arm is complete, the last values of its curve count.
        """
        return leading(self.arms, self.better)


def leading(arms: Sequence[ArmNews], better: str) -> list[ArmNews]:
    """Return arms, the one that leads first; see :meth:`StudyNews.leading`."""
    measured = any(arm.mean is not None for arm in arms)
    sign = 1.0 if better == "lower" else -1.0

    def rank(arm: ArmNews) -> float:
        value = arm.mean if measured else arm.now
        return math.inf if value is None or math.isnan(value) else sign * value

    return sorted(arms, key=rank)


def found_arms(result: Mapping[str, Any]) -> tuple[ArmNews, ...]:
    """Return how the arms of a result stand whose runs are not stored.

    Args:
        result: as ``claim --json`` has it.
    """
    seeds = int(result["seeds"])
    return tuple(
        ArmNews(
            name,
            seeds,
            seeds,
            arm["mean"],
            _ends(arm["interval"]),
            None,
            arm["diverged"],
            arm["censored"],
        )
        for name, arm in result["arms"].items()
    )


@dataclass(frozen=True)
class StudyNewsTask(Task):
    """Read how a stored study stands; the result is a :class:`StudyNews`.

    Attributes:
        study_id: its id.
    """

    study_id: str

    def run(self, controls: Controls) -> Iterator[StudyNews]:
        """Read it; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: there is no such study.
            StoreError: the store cannot be read.
        """
        with Store.open_readonly() as store:
            yield news(store, self.study_id)


def news(store: Store, study_id: str) -> StudyNews:
    """Return how a stored study stands.

    Raises:
        InvalidInput: there is no such study.
        StoreError: the store cannot be read.
    """
    record = store.study(study_id)
    # Checked when it was begun; whatever is of the user's in it is not executed here.
    study = reading.from_toml(record.document, check=False)
    runs = store.study_runs(record.id)
    records = store.runs_of([one.run for one in runs])
    deciding = [one for one in runs if one.role == "decides" and one.run in records]
    drawn = drawn_series(study.measured)
    names = {drawn, *(name for arm in study.arms for name in _needed(study, arm.name))} - {""}
    series = store.series_of([one.run for one in deciding], sorted(names))
    found = _outcomes(study, deciding, records, series)
    arms = tuple(
        _arm(study, name, deciding, records, series, found, drawn, record) for name in study.names
    )
    return StudyNews(
        record,
        arms,
        unit_words(study),
        drawn,
        better(study.measured),
        study.decision.effect,
        study.decision.margin,
        tuple(_run(one, records.get(one.run)) for one in runs),
    )


def drawn_series(measured: Measured) -> str:
    """Return the series that is drawn for a measure: its own, or one close to a figure of the end."""
    return _IN_PLACE.get(measured.of, measured.of)


def better(measured: Measured) -> str:
    """Return whether ``lower`` or ``higher`` values are better; a time to a target is a cost."""
    if measured.what in outcomes.Unit:
        return "lower"
    return "lower" if measured.reached == "below" else "higher"


def _needed(study: Study, arm: str) -> tuple[str, ...]:
    return outcomes.series_of(study.measured_of(arm))


def _run(one: StudyRun, record: RunRecord | None) -> RunOfStudy:
    if record is None:
        return RunOfStudy(one.run, one.arm, one.role, one.seed, one.setting, "deleted", 0, "")
    return RunOfStudy(
        one.run,
        one.arm,
        one.role,
        one.seed,
        one.setting,
        record.status,
        record.steps,
        record.reason,
    )


def _outcomes(
    study: Study,
    deciding: Sequence[StudyRun],
    records: Mapping[str, RunRecord],
    series: Mapping[str, Mapping[str, Values]],
) -> dict[str, outcomes.Outcome]:
    """Return what the complete runs came to, bounded over all of them."""
    done = [one for one in deciding if records[one.run].status in DONE]
    found = [
        recorded_outcome(
            study.measured_of(one.arm),
            records[one.run],
            series.get(one.run, {}),
            partial(_epoch, records[one.run]),
        )
        for one in done
    ]
    return dict(zip([one.run for one in done], outcomes.bounded(found), strict=True))


def _epoch(record: RunRecord) -> int:
    return steps_per_epoch(Experiment.from_toml(record.experiment))


def _arm(
    study: Study,
    name: str,
    deciding: Sequence[StudyRun],
    records: Mapping[str, RunRecord],
    series: Mapping[str, Mapping[str, Values]],
    found: Mapping[str, outcomes.Outcome],
    drawn: str,
    record: StudyRecord,
) -> ArmNews:
    mine = [one for one in deciding if one.arm == name]
    setting, share = _setting(mine)
    if any(arm.name == name for arm in study.probes):
        return _computed(study, name, record)
    same = study.measured_of(name).of == study.measured.of
    values = [series.get(one.run, {}).get(drawn) for one in mine] if same else []
    parts = [one_number(one, study.measured.part) for one in values if one is not None]
    curves = [one for one in parts if len(one.steps) and one.values.ndim == 1]
    last = [float(one.values[-1]) for one in curves]
    result = record.result.get("arms", {}).get(name)
    done = [found[one.run] for one in mine if one.run in found]
    mean, interval, censored = _summary(done, study.decision.level)
    if result is not None:
        mean, interval, censored = result["mean"], _ends(result["interval"]), result["censored"]
    return ArmNews(
        name,
        len(done),
        study.seeds.count if result is None else len(result["low"]),
        mean,
        interval,
        float(np.mean(last)) if last else None,
        sum(records[one.run].status == "diverged" for one in mine),
        censored,
        setting,
        share,
        band(curves, study.decision.level) if curves else None,
    )


def _setting(runs: Sequence[StudyRun]) -> tuple[Mapping[str, Any] | None, str]:
    """Return the setting that most runs have, and of how many where it is not that of all."""
    found = Counter(tuple(sorted(one.setting.items())) for one in runs if one.setting)
    if not found:
        return None, ""
    ((setting, count),) = found.most_common(1)
    return dict(setting), "" if count == found.total() else f"{count} of {found.total()} seeds"


def _computed(study: Study, name: str, record: StudyRecord) -> ArmNews:
    """Return how an arm stands that is computed, not trained."""
    values = [float(one) for one in record.measured.get(name, {}).values()]
    finite = [one for one in values if math.isfinite(one)]
    known = [outcomes.Outcome(one, one) for one in finite]
    mean, interval, censored = _summary(known, study.decision.level)
    return ArmNews(
        name,
        len(values),
        study.seeds.count,
        mean,
        interval,
        diverged=sum(math.isinf(one) for one in values),
        censored=censored,
    )


def _summary(
    found: Sequence[outcomes.Outcome], level: float
) -> tuple[float | None, tuple[float, float] | None, int]:
    if not found:
        return None, None, 0
    short = summary(sample_of(found), level)
    return short.mean, short.interval, short.censored


def _ends(interval: Sequence[float | None] | None) -> tuple[float, float] | None:
    if interval is None:
        return None
    low, high = interval
    return (-math.inf if low is None else low, math.inf if high is None else high)


def band(curves: Sequence[Values], level: float) -> Band:
    """Return mean and interval of series over runs, at most :data:`MAX_POINTS` steps of them.

    Args:
        curves: one a run, ``[n_i]`` values each. level: of the interval of the mean.
    """
    steps = np.unique(np.concatenate([one.steps for one in curves]))
    if len(steps) > MAX_POINTS:
        steps = steps[np.unique(np.linspace(0, len(steps) - 1, MAX_POINTS).astype(np.int64))]
    values = np.full((len(steps), len(curves)), math.nan)
    for column, one in enumerate(curves):
        places = np.searchsorted(one.steps, steps)
        there = places < len(one.steps)
        there[there] &= one.steps[places[there]] == steps[there]
        values[there, column] = one.values[places[there]]
    values[~np.isfinite(values)] = math.nan
    count = (~np.isnan(values)).sum(axis=1)
    some = count > 0
    steps, values, count = steps[some], values[some], count[some]
    mean = np.nanmean(values, axis=1)
    half = np.full(len(steps), math.nan)
    several = count > 1
    if several.any():
        # Imported here: few studies have several seeds when they begin.
        from scipy import special

        spread = np.nanstd(values[several], axis=1, ddof=1) / np.sqrt(count[several])
        half[several] = special.stdtrit(count[several] - 1, 0.5 + level / 2.0) * spread
    return Band(steps, mean, mean - half, mean + half, count)
