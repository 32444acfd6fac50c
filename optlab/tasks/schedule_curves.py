"""The schedules of an experiment as curves, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.experiment.epochs import in_steps

MAX_POINTS = 1000
"""Points of a curve, at most."""
RATE = "optimizer.lr"
"""Path of the learning rate, whose schedule is a section of its own."""


@dataclass(frozen=True)
class ScheduleCurve:
    """A number over the steps of a run.

    Attributes:
        path: of the field. label: name of the field.
        steps: numbers of steps ``[n]``, evenly spaced from 0 to the last step of the budget.
        values: the value at each, ``[n]``.
        depends: whether it changes with the losses of the run; the values are then those before
            the first evaluation.
    """

    path: str
    label: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    depends: bool = False


def needs_examples(experiment: Experiment) -> bool:
    """Return whether the curves depend on the number of training examples."""
    return in_steps(experiment, 2) != experiment


def schedule_curves(experiment: Experiment, examples: int | None = None) -> list[ScheduleCurve]:
    """Return the curve of the learning rate, and of every number with a schedule of its own.

    An optimizer without a rate has no curve of the rate.

    Args:
        examples: number of training examples; without it nothing may count epochs.

    Raises:
        InvalidInput: a number of steps counts epochs, and the number of examples is not given.
    """
    if examples is not None:
        experiment = in_steps(experiment, experiment.batches.steps_per_epoch(examples))
    elif needs_examples(experiment):
        raise InvalidInput(
            "A duration counts epochs, so the curve depends on the number of training examples."
        )
    last = experiment.budget.steps - 1
    steps = np.unique(np.linspace(0, last, min(last + 1, MAX_POINTS)).round().astype(np.int64))
    curves: list[ScheduleCurve] = []
    optimizer, schedule = experiment.optimizer, experiment.schedule
    if hasattr(optimizer, "lr"):
        values = [schedule.rate(optimizer.lr, int(step)) for step in steps]
        label = optimizer.field("lr").label
        curves.append(ScheduleCurve(RATE, label, steps, np.array(values), schedule.watches))
    for field_schedule in experiment.schedules:
        part = getattr(experiment, field_schedule.section)
        base = getattr(part, field_schedule.name)
        values = [field_schedule.function.at(int(step), base) for step in steps]
        label = part.field(field_schedule.name).label
        curves.append(ScheduleCurve(field_schedule.path, label, steps, np.array(values)))
    return curves
