"""Epochs as a unit: an experiment whose numbers of steps count passes through the training set."""

from __future__ import annotations

import dataclasses
from typing import Any

from optlab.experiment.experiment import Experiment
from optlab.experiment.sections import PLAIN_SECTIONS, SECTIONS


def in_steps(experiment: Experiment, steps_per_epoch: int) -> Experiment:
    """Return the experiment with all epochs converted to steps; the same if it has none.

    Args:
        steps_per_epoch: steps of a pass through its training set, the last batch included.
    """
    converted: dict[str, Any] = {
        key: part
        for key in (*SECTIONS, *PLAIN_SECTIONS)
        if (part := getattr(experiment, key).in_steps(steps_per_epoch))
        is not getattr(experiment, key)
    }
    schedules = tuple(schedule.in_steps(steps_per_epoch) for schedule in experiment.schedules)
    if schedules != experiment.schedules:
        converted["schedules"] = schedules
    return dataclasses.replace(experiment, **converted) if converted else experiment
