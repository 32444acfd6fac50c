"""What an audience draws before a run, and how far the run is from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
COLUMNS = 80
"""Number of points of a drawn curve."""


class Sketch:
    """A curve drawn by hand: one value in each of equal columns of the axes, or none.

    Attributes:
        heights: share of the height of the axes in each column, ``[COLUMNS]``, NaN where nothing is
            drawn.
    """

    def __init__(self) -> None:
        self.heights: Floats = np.full(COLUMNS, np.nan)
        self._last: tuple[int, float] | None = None

    @property
    def drawn(self) -> bool:
        """Whether there is a curve: two points or more."""
        return int(np.isfinite(self.heights).sum()) > 1

    def clear(self) -> None:
        """Remove the curve."""
        self.heights[:] = np.nan
        self._last = None

    def lift(self) -> None:
        """End a stroke: the next point is not connected to the last one."""
        self._last = None

    def draw(self, across: float, up: float) -> None:
        """Draw to a point, from the last one of the stroke.

        Args:
            across: share of the width of the axes. up: share of their height.
        """
        column = min(max(int(across * COLUMNS), 0), COLUMNS - 1)
        height = min(max(up, 0.0), 1.0)
        before, from_height = self._last or (column, height)
        for at in range(min(before, column), max(before, column) + 1):
            share = 1.0 if column == before else (at - before) / (column - before)
            self.heights[at] = from_height + share * (height - from_height)
        self._last = (column, height)

    def erase(self, column: int) -> None:
        """Remove what is drawn from a column on."""
        self.heights[max(column, 0) :] = np.nan
        self._last = None

    def curve(
        self, first: float, last: float, low: float, high: float, *, log_x: bool, log_y: bool
    ) -> tuple[Floats, Floats]:
        """Return the steps and values ``[n]`` of what is drawn on these axes."""
        kept = np.flatnonzero(np.isfinite(self.heights))
        across = (kept + 0.5) / COLUMNS
        return (
            _between(across, first, last, log=log_x),
            _between(self.heights[kept], low, high, log=log_y),
        )


def _between(share: Floats, low: float, high: float, *, log: bool) -> Floats:
    if log:
        low, high = np.log10(low), np.log10(high)
    between: Floats = low + share * (high - low)
    return np.power(10.0, between) if log else between


def difference(drawn: tuple[Floats, Floats], measured: tuple[Floats, Floats], *, log: bool) -> str:
    """Return in words how far a run is from what was drawn.

    Args:
        drawn: steps and values ``[n]``. measured: steps and values ``[m]``. log: whether the value
            axis is logarithmic, so that a ratio is what the eye compares.
    """
    steps, values = drawn
    at, found = measured
    kept = np.isfinite(found) & ((found > 0.0) if log else True)
    at, found = at[kept], found[kept]
    if not len(at):
        return "The run has no value to compare with."
    common = (steps >= at[0]) & (steps <= at[-1])
    if not common.any():
        return "What was drawn lies before or after the steps of the run."
    steps, values = steps[common], values[common]
    real = np.exp(np.interp(steps, at, np.log(found))) if log else np.interp(steps, at, found)
    distance = np.abs(np.log(values / real)) if log else np.abs(values - real)
    farthest = int(np.argmax(distance))
    last = len(steps) - 1
    sentence = (
        f"At step {steps[last]:,.0f} you drew {_number(values[last])}, and it was "
        f"{_number(real[last])}: {_apart(values[last], real[last], log=log)}."
    )
    if farthest != last and distance[farthest] > 1.2 * distance[last]:
        sentence += (
            f" Farthest apart at step {steps[farthest]:,.0f}: {_number(values[farthest])} drawn, "
            f"{_number(real[farthest])} measured."
        )
    return sentence


def _apart(drawn: float, real: float, *, log: bool) -> str:
    if log:
        ratio = drawn / real
        if 0.95 < ratio < 1.0 / 0.95:
            return "nearly the same"
        return (
            f"{_number(ratio)} times as much"
            if ratio > 1.0
            else f"{_number(1.0 / ratio)} times less"
        )
    if abs(drawn - real) <= 0.02 * max(abs(drawn), abs(real)):
        return "nearly the same"
    return f"{_number(abs(drawn - real))} too {'high' if drawn > real else 'low'}"


def _number(value: float) -> str:
    """Return a number of two digits; very large and very small ones with a power of ten."""
    if 100 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    text = f"{value:.2g}"
    digits, _, power = text.partition("e")
    return f"{digits}·10{str(int(power)).translate(_SUPERSCRIPTS)}" if power else text
