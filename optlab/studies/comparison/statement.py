"""A statement about an effect, and what an interval says about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from optlab.studies.comparison.rule import Relation, Verdict

Interval = tuple[float, float]
Side = Literal["below", "above", "inside", "outside"]

_SIDES: dict[Relation, Side] = {
    "<": "below",
    "falls": "below",
    ">": "above",
    "rises": "above",
    "~": "inside",
    "slope": "inside",
    "!=": "outside",
}


@dataclass(frozen=True)
class Statement:
    """That an effect lies below ``low``, above ``high``, between them, or outside of them."""

    side: Side
    low: float
    high: float

    @classmethod
    def of(cls, relation: Relation, margins: Interval) -> Statement:
        """Return what a relation states, given the two effects at which the margin begins."""
        side = _SIDES[relation]
        low, high = margins
        if side == "below":
            return cls(side, low, low)
        return cls(side, high if side == "above" else low, high)

    def verdict(self, interval: Interval) -> Verdict:
        """Return what an interval that holds the effect says about the statement."""
        low, high = interval
        below, above = high < self.low, low > self.high
        if self.side in ("below", "above"):
            holds, fails = (below, above) if self.side == "below" else (above, below)
        elif self.side == "inside":
            holds, fails = self.low <= low and high <= self.high, below or above
        else:
            holds, fails = below or above, self.low < low and high < self.high
        return "supported" if holds else "contradicted" if fails else "undecided"


@dataclass(frozen=True)
class Criterion:
    """A statement on the scale on which an effect is estimated.

    Attributes:
        boundaries: the effects that an interval must not hold for a verdict.
        decided: whether an interval gives a verdict.
    """

    boundaries: tuple[float, ...]
    decided: Callable[[Interval], bool]
