"""How the steps of a session are taken, why not in a faster way, and the report of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from optlab.experiment import Experiment
from optlab.numerics.compiled.compiler import has_compiler
from optlab.objective.ranks import Ranks
from optlab.training.capturing.graph import GRAPHS
from optlab.training.events import Event, StepMode, StepModeChanged
from optlab.training.notes import Notes

if TYPE_CHECKING:
    from optlab.training.trainer import Trainer


def not_recorded(experiments: Sequence[Experiment], device: str, ranks: Ranks) -> str:
    """Return why steps are not recorded, whatever they consist of, a clause; "" where they are."""
    if device != "cpu" and device not in GRAPHS:
        return "steps are recorded on CPUs and CUDA GPUs only"
    if ranks.together:
        return "several processes share the batches"
    if any(one.model.own_modules or one.optimizer.own_modules for one in experiments):
        return "the model or the optimizer is your own"
    return ""


def not_compiled(device: str) -> str:
    """Return why recorded steps cannot be compiled here, a clause; "" where they can."""
    if device != "cpu":
        return "steps are compiled on a CPU only"
    return "" if has_compiler() else "there is no C++ compiler on this machine"


class StepModeReport:
    """Reports how steps are taken, whenever that has changed.

    Args:
        trainer: whose steps they are. notes: of the session.
    """

    def __init__(self, trainer: Trainer, notes: Notes) -> None:
        self._trainer = trainer
        self._notes = notes
        self._reported: tuple[StepMode, str] = ("ordinary", "")

    def news(self) -> Iterator[Event]:
        """Yield what has changed since the last call.

        Where an experiment asks for compiled steps and cannot have them, a note of the first run says why.
        """
        trainer = self._trainer
        mode, reason = trainer.steps.mode, trainer.steps.reason
        if (mode, reason) == self._reported:
            return
        self._reported = mode, reason
        yield StepModeChanged(trainer.step, mode, reason)
        if reason and mode != "compiled" and trainer.requested[0].general.compiled:
            note = f"steps are not compiled: {reason}"
            yield from self._notes.new({0: note}, trainer.step)
