"""Weight decay that follows a schedule: the losses of R runs at a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optlab.catalogue.losses.base import Loss


class DecaySchedule:
    """The weight-decay terms of runs, of which at least one follows a schedule.

    Args:
        members: the runs; each has a loss and schedules.
    """

    def __init__(self, members: Sequence[Any]) -> None:
        self._losses: list[Loss] = [member.loss for member in members]
        self._functions = [
            {schedule.name: schedule.function for schedule in its_schedules(member)}
            for member in members
        ]

    def losses(self, step: int) -> list[Loss]:
        """Return the loss of each run at a step (0, 1, …)."""
        return [
            loss.model_copy(
                update={
                    name: function.at(step, getattr(loss, name))
                    for name, function in functions.items()
                }
            )
            if functions
            else loss
            for loss, functions in zip(self._losses, self._functions, strict=True)
        ]


def its_schedules(member: Any) -> list[Any]:
    """Return the schedules of the weight-decay terms of a run."""
    return [schedule for schedule in member.schedules if schedule.section == "loss"]
