"""The schedule: how often all statistics are taken, so that they cost no more than they may.

What a reading costs and how long a step takes are measured while the loop runs, and the distance of
the readings follows from the two. It is one of 1, 2, 5, 10, 20, …, so that the steps of the readings
change seldom.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence

_GRID: tuple[int, ...] = tuple(digit * 10**power for power in range(4) for digit in (1, 2, 5))
_FIRST = 5
"""Distance until the time of a step is known."""
_KNOWN = 8
"""Steps after which that is so."""
_REMEMBERED = 7
"""Readings whose median says what one costs."""
_BURST = 8
"""Steps in a row that are read after something has happened."""
_BURST_APART = 500
"""Least number of steps between two such series of readings."""


class Schedule:
    """Decides at which steps all statistics are taken.

    Args:
        share: of the time of the loop that watching may take.
        every: a distance in steps that is used whatever it costs; None to measure.

    Attributes:
        every: steps from one reading to the next.
        next: step of the next reading.
    """

    def __init__(self, share: float, every: int | None = None) -> None:
        self.share = share
        self.every = every or _FIRST
        self.next = 1
        self._fixed = every is not None
        self._step: float | None = None
        self._readings: deque[float] = deque(maxlen=_REMEMBERED)
        self._first = True
        self._urgent = 0
        self._burst_from = -_BURST_APART

    @property
    def knows_steps(self) -> bool:
        """Whether the time of a step is known."""
        return self._step is not None

    def is_due(self, step: int) -> bool:
        """Return whether a step is read."""
        return step >= self.next or self._urgent > 0

    def hurry(self, step: int) -> None:
        """Read the next steps: something has happened at one."""
        if step - self._burst_from >= _BURST_APART:
            self._burst_from = step
            self._urgent = _BURST

    def passed(self, seconds: Sequence[float]) -> None:
        """Note the times of some steps."""
        if len(seconds) >= _KNOWN:
            # Among them may be steps that were read, and pauses between epochs.
            self._step = statistics.median_low(seconds)

    def read(self, step: int, seconds: float, each_step: float) -> None:
        """Note what a reading has cost, and choose the step of the next one.

        Args:
            step: that was read.
            seconds: of the reading.
            each_step: seconds that watching costs at every step, read or not.
        """
        self._urgent = max(self._urgent - 1, 0)
        if self._first:  # it loads what it needs
            self._first = False
        else:
            self._readings.append(seconds)
        if not self._fixed and self._readings and self._step is not None:
            # On a busy machine some readings are interrupted, which is no cost of theirs.
            reading = statistics.median_low(self._readings)
            self.every = distance(reading, self._step, self.share, each_step)
        self.next = (step // self.every + 1) * self.every


def distance(reading: float, step: float, share: float, each_step: float) -> int:
    """Return the steps from one reading to the next.

    Args:
        reading: seconds of one. step: seconds of a step. share: of the time that may be used.
        each_step: seconds that are used at every step.
    """
    # Where the little things use up the share, readings still get a fifth of it.
    free = max(share * step - each_step, 0.2 * share * step)
    wanted = reading / free if free > 0.0 else float(_GRID[-1])
    return next((number for number in _GRID if number >= wanted), _GRID[-1])
