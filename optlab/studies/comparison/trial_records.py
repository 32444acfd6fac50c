"""What the store has of the trials of a study."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from optlab.experiment import Experiment
from optlab.store.records import RunRecord
from optlab.store.store import Store
from optlab.studies.comparison import outcomes
from optlab.studies.comparison.choosing import TriedSetting
from optlab.studies.comparison.fields import TO_TARGET, Measured, What
from optlab.studies.comparison.grid import Value
from optlab.studies.comparison.outcomes import Outcome
from optlab.studies.comparison.plan import Trial
from optlab.studies.comparison.readings import Values
from optlab.studies.comparison.results import ArmResult, Counted
from optlab.studies.comparison.samples import Sample
from optlab.studies.comparison.statistics import ArmSummary, summary
from optlab.studies.comparison.study import Study

DONE = ("finished", "diverged")
"""Statuses of runs that are complete."""


UNDECIDED = ArmSummary(None, None, None, 0, 0, "")
"""The summary of an arm until all arms are known."""


class TrialRecords:
    """The runs of a stored study.

    Args:
        study_id: of the stored study.
    """

    def __init__(self, study: Study, store: Store, study_id: str) -> None:
        self._study = study
        self._store = store
        self._id = study_id
        self._steps_per_epoch: dict[object, int] = {}

    def missing(
        self, trials: Sequence[Trial]
    ) -> tuple[list[Trial], list[tuple[list[Trial], tuple[str, ...]]]]:
        """Return the trials without a run, and those whose runs had begun and can be resumed.

        Returns:
            Trials to start; and, for each population to resume, its trials and their runs.
        """
        ids = self._ids()
        records = self._records([ids[trial.key] for trial in trials if trial.key in ids])
        fresh: list[Trial] = []
        begun: dict[str, tuple[list[Trial], list[str]]] = {}
        for trial in trials:
            record = records.get(ids.get(trial.key, ""))
            if record is None:
                fresh.append(trial)
            elif record.status not in DONE:
                members, runs = begun.setdefault(record.population, ([], []))
                members.append(trial)
                runs.append(record.id)
        return fresh, [(members, tuple(runs)) for members, runs in begun.values()]

    def unfinished(self, run_ids: Sequence[str]) -> list[str]:
        """Return those of the runs that are not complete."""
        records = self._records(run_ids)
        return [run for run in run_ids if run not in records or records[run].status not in DONE]

    def reason(self, run: str) -> str:
        """Return why a run ended."""
        return self._store.run(run).reason or "no reason is recorded"

    def tuning_values(
        self, trials: Sequence[Trial]
    ) -> dict[tuple[str, tuple[tuple[str, Value], ...]], list[float]]:
        """Return arm and setting → the final values of the measure that tunes."""
        assert self._study.tuning is not None
        measured = Measured(what="final", of=self._study.tuning.by)
        values: dict[tuple[str, tuple[tuple[str, Value], ...]], list[float]] = {}
        for trial, outcome in zip(trials, self._outcomes(trials, lambda _: measured), strict=True):
            key = (trial.arm, tuple(sorted(trial.setting.items())))
            values.setdefault(key, []).append(outcome.low if outcome.known else math.nan)
        return values

    def arms(
        self, trials: Sequence[Trial], tried: Mapping[str, Sequence[TriedSetting]]
    ) -> dict[str, ArmResult]:
        """Return what the arms that are trained came to, from the trials that decide.

        The outcomes of runs that diverged are not bounded yet, see :func:`bounded_arms`.
        """
        found = self._outcomes(trials)
        counted = {
            what: self._outcomes(trials, partial(self._counting, what))
            for what in counted_beside(self._study)
        }
        ids = self._ids()
        tuning: dict[str, list[str]] = {arm.name: [] for arm in self._study.arms}
        for run in self._store.study_runs(self._id):
            if run.role == "tunes":
                tuning[run.arm].append(run.run)
        records = self._records([ids[trial.key] for trial in trials])
        results: dict[str, ArmResult] = {}
        for arm in self._study.arms:
            rows = [row for row, trial in enumerate(trials) if trial.arm == arm.name]
            runs = tuple(ids[trials[row].key] for row in rows)
            its_outcomes = tuple(found[row] for row in rows)
            settings = tuple(tried.get(arm.name, ()))
            results[arm.name] = ArmResult(
                runs,
                its_outcomes,
                UNDECIDED,
                sum(records[run].status == "diverged" for run in runs),
                next((one.setting for one in settings if one.chosen), None),
                settings,
                tuple(tuning[arm.name]),
                {
                    what: Counted(tuple(values[row] for row in rows), UNDECIDED)
                    for what, values in counted.items()
                },
            )
        return results

    def _counting(self, what: What, arm: str) -> Measured:
        return Measured.build({**self._study.measured_of(arm).values(), "what": what}, "measure")

    def _outcomes(
        self, trials: Sequence[Trial], measured: Callable[[str], Measured] | None = None
    ) -> list[Outcome]:
        """Return what trials came to.

        Args:
            measured: arm → what is measured of it; by default as the study says.
        """
        measured = measured or self._study.measured_of
        ids = self._ids()
        runs = [ids[trial.key] for trial in trials]
        records = self._records(runs)
        measures = [measured(trial.arm) for trial in trials]
        names = {name for one in measures for name in outcomes.series_of(one)}
        series = self._store.series_of(runs, names)
        return [
            recorded_outcome(one, records[run], series.get(run, {}), partial(self._epoch, trial))
            for run, trial, one in zip(runs, trials, measures, strict=True)
        ]

    def _epoch(self, trial: Trial) -> int:
        experiment = trial.experiment(self._study)
        key = (experiment.dataset, experiment.batches)
        if key not in self._steps_per_epoch:
            self._steps_per_epoch[key] = steps_per_epoch(experiment)
        return self._steps_per_epoch[key]

    def _ids(self) -> dict[tuple[object, ...], str]:
        return {
            Trial(run.arm, run.seed, run.role, dict(run.setting)).key: run.run
            for run in self._store.study_runs(self._id)
        }

    def _records(self, run_ids: Sequence[str]) -> dict[str, RunRecord]:
        return self._store.runs_of(run_ids)


def bounded_arms(arms: Mapping[str, ArmResult], level: float) -> dict[str, ArmResult]:
    """Return the arms of a study with bounded outcomes and their summaries.

    Args:
        level: of the intervals of the summaries.
    """
    found = _bounded({name: arm.outcomes for name, arm in arms.items()}, level)
    units = dict.fromkeys(what for arm in arms.values() for what in arm.counted)
    counted = {
        what: _bounded(
            {name: arm.counted[what].outcomes for name, arm in arms.items() if what in arm.counted},
            level,
        )
        for what in units
    }
    return {
        name: dataclasses.replace(
            arm,
            outcomes=found[name].outcomes,
            summary=found[name].summary,
            counted={what: counted[what][name] for what in arm.counted},
        )
        for name, arm in arms.items()
    }


def _bounded(arms: Mapping[str, Sequence[Outcome]], level: float) -> dict[str, Counted]:
    """Return the bounded outcomes of arms, with their summaries."""
    bounds = iter(outcomes.bounded([one for its in arms.values() for one in its]))
    found = {name: tuple(next(bounds) for _ in its) for name, its in arms.items()}
    return {name: Counted(its, summary(sample_of(its), level)) for name, its in found.items()}


def counted_beside(study: Study) -> tuple[What, ...]:
    """Return the other units in which a study can tell what its target took."""
    measures = {study.measured_of(arm.name).what for arm in study.arms}
    if not measures or not measures <= set(TO_TARGET):
        return ()
    units: tuple[What, ...] = ("steps_to", "evaluations_to")
    return (*units, "seconds_to") if study.is_timed else units


def computed_arm(values: Sequence[float]) -> ArmResult:
    """Return what an arm came to that is computed, from the value of each seed.

    One that is infinite counts as that of a run that diverged, one that is NaN as unknown.
    """
    found = [outcomes.UNKNOWN if math.isnan(value) else Outcome(value, value) for value in values]
    return ArmResult((), tuple(found), UNDECIDED, sum(math.isinf(value) for value in values))


def steps_per_epoch(experiment: Experiment) -> int:
    """Return the steps of a pass through the training set of an experiment, which is loaded."""
    return experiment.batches.steps_per_epoch(len(experiment.dataset.load().training))


def recorded_outcome(
    measured: Measured,
    record: RunRecord,
    series: Mapping[str, Values],
    epoch: Callable[[], int],
) -> Outcome:
    """Return what a stored run came to.

    Args:
        series: by name; see :func:`optlab.studies.comparison.outcomes.series_of`.
        epoch: returns the steps of an epoch; called only where epochs are counted.
    """
    return outcomes.outcome(
        measured,
        series,
        record.final,
        diverged=record.status == "diverged",
        steps=record.steps,
        seconds=record.seconds,
        steps_per_epoch=epoch() if measured.what == "epochs_to" else 1,
    )


def sample_of(its_outcomes: Sequence[Outcome]) -> Sample:
    """Return the outcomes of an arm as a sample."""
    return Sample(
        np.array([one.low for one in its_outcomes]), np.array([one.high for one in its_outcomes])
    )
