"""The diagnosis of a stored run, as the window shows it while a run is in progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optlab.experiment import Experiment
from optlab.store import RunRecord, StoredSeries
from optlab.studies.diagnosis import diagnose
from optlab.studies.diagnosis.base import Finding, RunHistory
from optlab.training.control import Message, SetValue


@dataclass(frozen=True)
class RunDiagnosis:
    """The diagnosis of a run.

    Attributes:
        record: of the run.
        measured: whether anything was measured, so that there is something to diagnose.
        findings: the problems, the most severe first.
    """

    record: RunRecord
    measured: bool
    findings: tuple[Finding, ...]


def diagnosis_of(
    record: RunRecord,
    series: Mapping[str, StoredSeries],
    log: Sequence[tuple[int, Message]],
) -> RunDiagnosis:
    """Return the diagnosis of a run.

    Args:
        record: of the run.
        series: name → values.
        log: messages that were applied to the run; changed values count as those of its experiment.

    Raises:
        InvalidInput: the stored experiment is not valid.
    """
    experiment = Experiment.from_toml(record.experiment, check=False)
    for _, message in log:
        if isinstance(message, SetValue):
            experiment = experiment.with_values({message.path: message.value}, check=False)
    history = RunHistory(
        experiment,
        {name: (values.steps, values.values) for name, values in series.items()},
        {name: values.columns for name, values in series.items() if values.columns},
        ended=not record.going,
    )
    findings = tuple(diagnose(history)) if history.measured else ()
    return RunDiagnosis(record, history.measured, findings)
