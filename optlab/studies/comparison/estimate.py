"""What every way to estimate an effect offers: intervals, p-values, the seeds that would decide."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from optlab.studies.comparison.statement import Criterion, Interval

UNBOUNDED: Interval = (-math.inf, math.inf)
_MANY_SEEDS = 10**9
"""Number of seeds beyond which an effect counts as lying at the margin."""
_SMALLEST_ALPHA = 1e-16


class Estimate(Protocol):
    """An effect and its intervals: the smaller ``alpha`` is, the wider they are.

    Attributes:
        effect: the estimate. method: how it and its intervals are computed, a short phrase.
    """

    effect: float
    method: str

    def interval(self, alpha: float) -> Interval:
        """Return the interval that holds the effect with probability ``1 - alpha``."""
        ...

    def p_value(self, criterion: Criterion) -> float:
        """Return the smallest ``alpha`` at which the interval decides, 1 if none does."""
        ...

    def seeds_needed(self, criterion: Criterion, alpha: float) -> int | None:
        """Return the number of seeds at which this effect and spread would decide, if any."""
        ...


def fewest(decides: Callable[[int], bool]) -> int | None:
    """Return the smallest number of seeds, 2 or more, that decides, None if no sensible one does.

    A number larger than one that decides must decide as well.
    """
    above = 2
    while not decides(above):
        above *= 2
        if above > _MANY_SEEDS:
            return None
    below = above // 2  # does not decide, or is 1
    while above - below > 1:
        middle = (above + below) // 2
        below, above = (below, middle) if decides(middle) else (middle, above)
    return above


def smallest_alpha(decides: Callable[[float], bool]) -> float:
    """Return the smallest ``alpha`` that decides, 1 if none does, by bisection.

    An ``alpha`` larger than one that decides must decide as well.
    """
    if not decides(1.0):
        return 1.0
    below, above = math.log(_SMALLEST_ALPHA), 0.0
    for _ in range(50):
        middle = (below + above) / 2
        below, above = (below, middle) if decides(math.exp(middle)) else (middle, above)
    return math.exp(above)
