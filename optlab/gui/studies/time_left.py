"""How long something takes that says how far it is."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

_LEAST_SECONDS = 1.0
"""Time before which no estimate is made."""


class TimeLeft:
    """Estimates the seconds that are left of a stage from the share that is done.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._stage = ""
        self._began = 0.0
        self._share = 0.0

    def seconds(self, stage: str, done: float) -> float | None:
        """Return the seconds that are left of a stage, None where that is not known yet.

        Args:
            stage: another one begins anew. done: share of it, from 0 to 1.
        """
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began, self._share = stage, now, done
        taken, gained = now - self._began, done - self._share
        if taken < _LEAST_SECONDS or gained <= 0.0:
            return None
        return taken * (1.0 - done) / gained
