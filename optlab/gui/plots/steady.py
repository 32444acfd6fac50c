"""A range that follows data without trembling: it grows with some room to spare, and shrinks only
when most of it has become empty.
"""

from __future__ import annotations

import math

_ROOM = 0.06
"""Share of the data's span that is left free on a side that grows."""
_EMPTY = 0.5
"""The range is fitted anew when the data fill less than this share of it."""


class SteadyRange:
    """The y range of a plot that follows its data.

    Args:
        floor: lower end that is kept whatever the data (0 for a share), None for none.
    """

    def __init__(self, floor: float | None = None) -> None:
        self.floor = floor
        self._range: tuple[float, float] | None = None

    def forget(self) -> None:
        """Fit anew next time: the axis or the choice of curves has changed."""
        self._range = None

    def fit(self, low: float, high: float) -> tuple[float, float]:
        """The range for finite data from ``low`` to ``high``."""
        if self.floor is not None:
            low = min(low, self.floor)
        span = high - low
        if not span > abs(high) * 1e-12:
            # All the same: the line in the middle of a range that its digits can tell.
            span = max(abs(high) * 0.2, 1e-300) if high else 1.0
            low, high = low - span / 2, high + span / 2
        now = self._range
        if now is None or span < _EMPTY * (now[1] - now[0]) or not math.isfinite(now[1] - now[0]):
            now = (low - _ROOM * span, high + _ROOM * span)
        else:
            now = (
                low - _ROOM * span if low < now[0] else now[0],
                high + _ROOM * span if high > now[1] else now[1],
            )
        if self.floor is not None and low >= self.floor:
            now = (self.floor, now[1])
        self._range = now
        return now
