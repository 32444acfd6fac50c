"""Pace: how long a session waits before its next step, so that it can be watched."""

from __future__ import annotations

import time

from optlab.training.clock import TrainingClock
from optlab.training.control import Controls

_MOMENT = 0.1
"""Seconds after which a session that waits looks for messages again."""


class Pace:
    """Steps at a steady rate.

    Attributes:
        steps_per_second: the rate; 0 for as many as possible.
    """

    def __init__(self) -> None:
        self.steps_per_second = 0.0
        self._next = 0.0

    def set(self, steps_per_second: float) -> None:
        """Change the rate; the next step follows at once."""
        self.steps_per_second = max(0.0, steps_per_second)
        self._next = 0.0

    def holds_up(self, controls: Controls, clock: TrainingClock) -> bool:
        """Wait a moment if the next step is not due, and return whether it was not.

        Args:
            controls: a message ends the wait. clock: does not count the time.
        """
        ahead = self._next - time.perf_counter() if self.steps_per_second > 0.0 else 0.0
        if ahead <= 0.0:
            return False
        begun = time.perf_counter()
        controls.wait(min(ahead, _MOMENT))
        clock.skip(time.perf_counter() - begun)
        return True

    def stepped(self) -> None:
        """Note that a step was taken. What a slow step loses is not made up for."""
        if self.steps_per_second > 0.0:
            now = time.perf_counter()
            self._next = max(self._next, now - 1.0 / self.steps_per_second)
            self._next += 1.0 / self.steps_per_second
