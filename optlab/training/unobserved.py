"""Steps of a session at which nothing is due: they follow one another without a look at the run."""

from __future__ import annotations

import time

from optlab.training.budgets import Budgets
from optlab.training.clock import TrainingClock
from optlab.training.control import Controls
from optlab.training.recorder import MAX_ROWS
from optlab.training.trainer import Trainer

UNOBSERVED_SECONDS = 0.005
"""Time for which a session takes steps without looking for messages."""


class UnobservedSteps:
    """Takes the steps of a session.

    Args:
        trainer: which takes them. clock: of the session. controls: whose messages may be known to
            come at a step. budgets: of the runs. every: steps between evaluations.
    """

    def __init__(
        self,
        trainer: Trainer,
        clock: TrainingClock,
        controls: Controls,
        budgets: Budgets,
        every: int,
    ) -> None:
        self._trainer = trainer
        self._clock = clock
        self._controls = controls
        self._budgets = budgets
        self._every = every
        self._took = 0.0

    def advance(self, block_due: float, *, alone: bool) -> None:
        """Take the next step; before it, those at which nothing is due.

        Args:
            block_due: when a block is due, by the performance counter.
            alone: whether only one step may be taken.
        """
        if not (alone or self._budgets.seconds):
            self._advance_unobserved(block_due)
        began = time.perf_counter()
        self._trainer.advance()
        self._took = time.perf_counter() - began
        self._trainer.recorder.note_seconds(self._clock.seconds())

    def _advance_unobserved(self, block_due: float) -> None:
        trainer, clock = self._trainer, self._clock
        step, now = trainer.step, time.perf_counter()
        limit = min(now + UNOBSERVED_SECONDS, block_due)
        if now + self._took > limit:
            return
        until = min(
            step + self._every - step % self._every,
            self._budgets.next_end(step),
            self._controls.quiet_until(step),
        )
        # The last of them is an ordinary step.
        count = min(until - step, MAX_ROWS - len(trainer.recorder)) - 1
        if count < 1:
            return

        def more() -> bool:
            trainer.recorder.note_seconds(clock.seconds())
            return time.perf_counter() < limit

        trainer.advance_unobserved(int(count), more)
