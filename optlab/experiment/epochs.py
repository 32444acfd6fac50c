"""Epochs as a unit: an experiment whose numbers of steps count passes through the training set."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from optlab.core.fields import STEPS_OR_EPOCHS, FieldSet
from optlab.experiment.experiment import Experiment
from optlab.experiment.sections import PLAIN_SECTIONS, SECTIONS

Part = TypeVar("Part", bound=FieldSet)


def in_steps(experiment: Experiment, steps_per_epoch: int) -> Experiment:
    """Return the experiment with all epochs converted to steps; the same if it has none.

    Args:
        steps_per_epoch: steps of a pass through its training set, the last batch included.
    """
    converted = {
        key: part
        for key in (*SECTIONS, *PLAIN_SECTIONS)
        if (part := _converted(getattr(experiment, key), steps_per_epoch))
        is not getattr(experiment, key)
    }
    return dataclasses.replace(experiment, **converted) if converted else experiment


def _converted(part: Part, steps_per_epoch: int) -> Part:
    if getattr(part, "unit", "steps") != "epochs":
        return part
    counted = {
        field.name: getattr(part, field.name) * steps_per_epoch
        for field in part.fields()
        if field.unit == STEPS_OR_EPOCHS
    }
    return part.model_copy(update={**counted, "unit": "steps"})
