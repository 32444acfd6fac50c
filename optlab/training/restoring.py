"""Restore a population from snapshots of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.training.batches import Segment
from optlab.training.groups import Begun, Group
from optlab.training.snapshot import (
    BATCHES,
    BEGUN,
    CLIPPED,
    FORK,
    GRADIENTS,
    INSTRUMENT,
    NORM_AT_START,
    SCHEDULE,
    Snapshot,
)


class Carried(NamedTuple):
    """Names of the entries of its state that a fork took over, and of those that began anew."""

    carried: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()


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


def restore_groups(groups: Sequence[Group], snapshots: Sequence[Snapshot]) -> dict[int, Carried]:
    """Give the groups the optimizer states and schedule memories of the snapshots.

    Returns:
        Run → what it took over, of those that begin as forks.

    Raises:
        InvalidInput: a snapshot's state is that of another optimizer.
    """
    forks: dict[int, Carried] = {}
    for group in groups:
        members = [snapshots[row] for row in group.rows]
        group.memories = [schedule_memory(member.memory) for member in members]
        states = [
            _completed(member.state, group, place) if member.reason == FORK else member.state
            for place, member in enumerate(members)
        ]
        if any(set(state) != set(group.state) for state in states):
            raise InvalidInput(
                f"The snapshot's optimizer state is not that of {group.optimizer.label}; it is "
                "of another optimizer."
            )
        for row, member, state in zip(group.rows, members, states, strict=True):
            if member.reason == FORK:
                carried = tuple(name for name in state if state[name] is member.state.get(name))
                forks[row] = Carried(carried, tuple(name for name in state if name not in carried))
        group.state = {
            name: torch.from_numpy(np.stack([state[name] for state in states])).to(
                device=value.device, dtype=value.dtype
            )
            for name, value in group.state.items()
        }
    return forks


def _completed(
    state: Mapping[str, NDArray[Any]], group: Group, place: int
) -> dict[str, NDArray[Any]]:
    """Return the state of a run of a fresh group, with what fits of ``state`` in its place."""
    fresh = {name: value[place].cpu().numpy() for name, value in group.state.items()}
    return {
        name: state[name] if name in state and state[name].shape == value.shape else value
        for name, value in fresh.items()
    }


def begun(memory: Mapping[str, float]) -> Begun:
    """Return where the state of a snapshot began."""
    return Begun(**{name: int(memory.get(f"{BEGUN}{name}", 0)) for name in Begun._fields})


def segment(memory: Mapping[str, float]) -> Segment:
    """Return where the batch size of a snapshot began."""
    return Segment(**{name: int(memory.get(f"{BATCHES}{name}", 0)) for name in Segment._fields})


def remembered(prefix: str, value: Begun | Segment) -> dict[str, float]:
    """Return entries of a snapshot's memory; none for what is as at step 0."""
    return (
        {f"{prefix}{name}": float(n) for name, n in value._asdict().items()} if any(value) else {}
    )


def stopping_memory(memory: Mapping[str, float]) -> dict[str, float]:
    """Return the part of a snapshot's memory that belongs to the stopping rule."""
    others = (SCHEDULE, INSTRUMENT, NORM_AT_START, CLIPPED, GRADIENTS, BATCHES, BEGUN)
    return {name: value for name, value in memory.items() if not name.startswith(others)}


def schedule_memory(memory: Mapping[str, float]) -> dict[str, float]:
    """Return the part of a snapshot's memory that belongs to the schedule."""
    return {
        name.removeprefix(SCHEDULE): value
        for name, value in memory.items()
        if name.startswith(SCHEDULE)
    }
