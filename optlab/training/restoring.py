"""Restore a population from snapshots of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.training.groups import Group
from optlab.training.snapshot import (
    CLIPPED,
    GRADIENTS,
    INSTRUMENT,
    NORM_AT_START,
    SCHEDULE,
    Snapshot,
)


def common_step(snapshots: Sequence[Snapshot], runs: int) -> int:
    """Return the step that all snapshots were taken at.

    Raises:
        InvalidInput: there is not one snapshot per run, or their steps differ.
    """
    steps = {snapshot.step for snapshot in snapshots}
    if len(snapshots) != runs or len(steps) != 1:
        raise InvalidInput(
            "A population can resume only from snapshots of all its runs at the same step."
        )
    return steps.pop()


def stacked_parameters(snapshots: Sequence[Snapshot], parameters: int) -> NDArray[Any]:
    """Return the parameters ``[R, P]`` of the snapshots.

    Raises:
        InvalidInput: a snapshot has another number of parameters.
    """
    for snapshot in snapshots:
        if snapshot.theta.shape != (parameters,):
            raise InvalidInput(
                f"The snapshot holds {snapshot.theta.size:,} parameters, but the experiment's "
                f"model has {parameters:,}; it is of another model."
            )
    return np.stack([snapshot.theta for snapshot in snapshots])


def restore_groups(groups: Sequence[Group], snapshots: Sequence[Snapshot]) -> None:
    """Give the groups the optimizer states and schedule memories of the snapshots.

    Raises:
        InvalidInput: a snapshot's state is that of another optimizer.
    """
    for group in groups:
        members = [snapshots[row] for row in group.rows]
        group.memories = [schedule_memory(member.memory) for member in members]
        if any(set(member.state) != set(group.state) for member in members):
            raise InvalidInput(
                f"The snapshot's optimizer state is not that of {group.optimizer.label}; it is "
                "of another optimizer."
            )
        group.state = {
            name: torch.from_numpy(np.stack([member.state[name] for member in members])).to(
                device=value.device, dtype=value.dtype
            )
            for name, value in group.state.items()
        }


def stopping_memory(memory: Mapping[str, float]) -> dict[str, float]:
    """Return the part of a snapshot's memory that belongs to the stopping rule."""
    others = (SCHEDULE, INSTRUMENT, NORM_AT_START, CLIPPED, GRADIENTS)
    return {name: value for name, value in memory.items() if not name.startswith(others)}


def schedule_memory(memory: Mapping[str, float]) -> dict[str, float]:
    """Return the part of a snapshot's memory that belongs to the schedule."""
    return {
        name.removeprefix(SCHEDULE): value
        for name, value in memory.items()
        if name.startswith(SCHEDULE)
    }


def changed_values(requested: Experiment, effective: Experiment) -> dict[str, float]:
    """Return the live fields in which the effective experiment differs: path → its value."""
    changes: dict[str, float] = {}
    for path in requested.live_fields():
        section, _, field = path.partition(".")
        value = getattr(getattr(effective, section), field)
        if value != getattr(getattr(requested, section), field):
            changes[path] = value
    return changes
