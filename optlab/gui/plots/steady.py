"""A range that follows data without jitter.

It grows by a margin and shrinks only when the data fill less than half of it.
"""

from __future__ import annotations

import math

_MARGIN = 0.06
"""Margin added on a side that grows, as a share of the span of the data."""
_MIN_FILL = 0.5
"""The range is refitted when the data fill less than this share of it."""


class SteadyRange:
    """The y range of a plot that follows its data.

    Args:
        floor: lower end that is never exceeded from above (0 for a share), or None.
    """

    def __init__(self, floor: float | None = None) -> None:
        self.floor = floor
        self._range: tuple[float, float] | None = None

    def reset(self) -> None:
        """Refit next time, because the axis or the set of visible curves changed."""
        self._range = None

    def fit(self, low: float, high: float) -> tuple[float, float]:
        """Return the range for finite data from ``low`` to ``high``."""
        if self.floor is not None:
            low = min(low, self.floor)
        span = high - low
        if not span > abs(high) * 1e-12:
            # Constant data: center the line in a range that its digits can resolve.
            span = max(abs(high) * 0.2, 1e-300) if high else 1.0
            low, high = low - span / 2, high + span / 2
        current = self._range
        if (
            current is None
            or span < _MIN_FILL * (current[1] - current[0])
            or not math.isfinite(current[1] - current[0])
        ):
            current = (low - _MARGIN * span, high + _MARGIN * span)
        else:
            current = (
                low - _MARGIN * span if low < current[0] else current[0],
                high + _MARGIN * span if high > current[1] else current[1],
            )
        if self.floor is not None and low >= self.floor:
            current = (self.floor, current[1])
        self._range = current
        return current
