"""The plan of a study: its trials, and how they are cut into populations.

Trials whose experiments fit one tensor are trained as one population. Each of them gets the numbers
that it would get alone, so how a study is cut changes nothing but the time it takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from optlab.experiment import Experiment
from optlab.studies.comparison.choosing import TriedSetting, setting_of
from optlab.studies.comparison.grid import Value
from optlab.studies.comparison.study import Study
from optlab.training.population import population_key

Role = Literal["decides", "tunes"]

MAX_RUNS = 256
"""Runs of one population: more gain nothing, and a failure would cost more."""
MAX_VALUES = 50_000_000
"""Parameters of all runs of one population together; gradients and states need several times that
much memory.
"""
OWN_PARAMETERS = 1_000_000
"""Parameters that a model of the user's is taken to have."""


@dataclass(frozen=True)
class Trial:
    """One run of a study.

    Attributes:
        arm: its name. seed: index of its seed, 0, 1, …. role: whether it decides the statement or
            only tunes. setting: path → value of the tuned fields.
    """

    arm: str
    seed: int
    role: Role = "decides"
    setting: Mapping[str, Value] = field(default_factory=dict)

    @property
    def key(self) -> tuple[object, ...]:
        """What identifies the trial in its study."""
        return self.arm, self.seed, self.role, tuple(sorted(self.setting.items()))

    def experiment(self, study: Study) -> Experiment:
        """Return what the trial trains."""
        return study.experiment(self.arm, self.seed, self.setting, self.role)


def tuning_trials(study: Study, seeds: int | None = None) -> list[Trial]:
    """Return the trials from which the settings of each arm are chosen.

    Args:
        seeds: how many of those that decide need a setting, where each has its own; by default all.
    """
    if study.tuning is None:
        return []
    deciding = study.seeds.count if seeds is None else seeds
    return [
        Trial(arm.name, seed, "tunes", setting)
        for arm in study.arms
        for setting in arm.settings()
        for seed in range(study.tuning.seeds * (deciding if study.tuning.each else 1))
    ]


def deciding_trials(
    study: Study, tried: Mapping[str, Sequence[TriedSetting]], begin: int, end: int
) -> list[Trial]:
    """Return the trials of the seeds ``begin`` to ``end`` − 1.

    Args:
        tried: settings of each arm that is tuned.
    """
    return [
        Trial(arm.name, seed, "decides", setting_of(tried.get(arm.name, ()), seed))
        for arm in study.arms
        for seed in range(begin, end)
    ]


def rounds(study: Study) -> list[tuple[int, int]]:
    """Return the seeds between two looks as pairs (begin, end)."""
    ends = list(study.decision.looks) or [study.seeds.count]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def populations(
    study: Study, trials: Sequence[Trial], slots: int
) -> list[list[tuple[Trial, Experiment]]]:
    """Cut trials into populations.

    Args:
        slots: populations that can be trained at the same time; where there are fewer kinds of
            experiments than that, one kind is cut so that all are used.

    Returns:
        The populations, those with the most work first, so that none is left over at the end.
    """
    by_kind: dict[object, list[tuple[Trial, Experiment]]] = {}
    for trial in trials:
        experiment = trial.experiment(study)
        timed = study.is_timed and trial.role == "decides"
        kind = (trial.arm, trial.seed) if timed else population_key(experiment)
        by_kind.setdefault(kind, []).append((trial, experiment))
    share = -(-len(trials) // max(1, slots))
    parameters = {kind: _parameters(study, *members[0]) for kind, members in by_kind.items()}
    cut = [
        (part, parameters[kind])
        for kind, members in by_kind.items()
        for part in _parts(members, _largest(share, parameters[kind]))
    ]
    cut.sort(key=lambda part: _work(*part), reverse=True)
    return [members for members, _ in cut]


def _parameters(study: Study, trial: Trial, experiment: Experiment) -> int:
    """Return P; a guess for a model of the user's, which is not built in this process."""
    return OWN_PARAMETERS if study.arm(trial.arm).own_code else max(1, experiment.layout().total)


def _largest(share: int, parameters: int) -> int:
    """Return the largest number of runs of a population of one kind."""
    return max(1, min(MAX_RUNS, MAX_VALUES // parameters, share))


def _parts(
    members: Sequence[tuple[Trial, Experiment]], largest: int
) -> list[list[tuple[Trial, Experiment]]]:
    """Cut the trials of one kind into parts of about equal work.

    Trials of one rule are dealt out like cards: where the arms are a row of values, those at one
    end of it diverge, which costs time, and each part gets some. Otherwise trials that follow each
    other stay together, since a population of fewer rules takes fewer operations a step.
    """
    parts = -(-len(members) // largest)
    if len({experiment.optimizer.name for _, experiment in members}) == 1:
        return [list(members[part::parts]) for part in range(parts)]
    size = -(-len(members) // parts)
    return [list(members[begin : begin + size]) for begin in range(0, len(members), size)]


def _work(members: Sequence[tuple[Trial, Experiment]], parameters: int) -> float:
    return float(len(members)) * members[0][1].budget.steps * parameters
