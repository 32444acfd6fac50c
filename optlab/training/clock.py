"""Training time: the time that passes while a session is not paused."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class TrainingClock:
    """A clock that can be paused.

    Attributes:
        before: seconds that had passed when it was last started. since: when that was. running:
            whether time passes.
    """

    before: float = 0.0
    since: float = field(default_factory=time.perf_counter)
    running: bool = True

    def seconds(self) -> float:
        """Return the seconds that have passed."""
        return self.before + (time.perf_counter() - self.since if self.running else 0.0)

    def pause(self) -> None:
        """Stop the time."""
        self.before, self.running = self.seconds(), False

    def resume(self) -> None:
        """Let time pass again."""
        self.since, self.running = time.perf_counter(), True

    def skip(self, seconds: float) -> None:
        """Leave out some of the time that has just passed."""
        if self.running:
            self.since += seconds
