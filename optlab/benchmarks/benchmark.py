"""What a benchmark is: two ways of doing the same work, timed in turns, and their results compared.

Ratios say how many times as fast as its opponent OptLab is. Both ways take turns, so that whatever
else the machine does slows both; the ratio is the median over the turns.
"""

from __future__ import annotations

import math
import statistics
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Timing:
    """One turn of one way.

    Attributes:
        rate: work a second, of which more is better. results: what the work came to, one number
            for each part of it; both ways must agree on them.
    """

    rate: float
    results: tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """What a benchmark found.

    Attributes:
        name: of the benchmark. work: what both do, with its unit; opponent: what OptLab is compared
            with. ours, theirs: median rates, work a second. ratio: median over the turns.
            lowest, highest: of the ratios. target: the ratio to reach. difference: the largest
            relative difference of the results; tolerance: up to which it is rounding.
    """

    name: str
    work: str
    opponent: str
    ours: float
    theirs: float
    ratio: float
    lowest: float
    highest: float
    target: float
    difference: float
    tolerance: float

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.ratio >= self.target

    @property
    def agrees(self) -> bool:
        """Whether both did the same work: a figure of other work says nothing."""
        return self.difference <= self.tolerance

    def document(self) -> dict[str, object]:
        """Return the row as ``bench --json`` prints it."""
        return {
            "name": self.name,
            "work": self.work,
            "opponent": self.opponent,
            "ours": self.ours,
            "theirs": self.theirs,
            "ratio": self.ratio,
            "spread": [self.lowest, self.highest],
            "target": self.target,
            "met": self.met,
            "losses": {
                "agree": self.agrees,
                "largest_difference": self.difference if math.isfinite(self.difference) else None,
                "tolerance": self.tolerance,
            },
        }


class Benchmark(ABC):
    """Base of all benchmarks."""

    name: ClassVar[str]
    """Argument of ``optlab bench``."""
    work: ClassVar[str]
    opponent: ClassVar[str]
    target: ClassVar[float]
    tolerance: ClassVar[float] = 1e-3
    """Relative difference of results up to which it is rounding, which grows with the steps."""

    warms_up: ClassVar[bool] = True
    """Whether a turn of each that does not count comes first."""

    @abstractmethod
    def ours(self) -> Timing:
        """Do the work with OptLab, once."""

    @abstractmethod
    def theirs(self) -> Timing:
        """Do the work as the opponent, once."""

    def measure(self, turns: int) -> Row:
        """Return what comes out of ``turns`` turns of each."""
        if self.warms_up:
            self.ours()
            self.theirs()
        ours: list[Timing] = []
        theirs: list[Timing] = []
        for turn in range(turns):
            if turn % 2:
                theirs.append(self.theirs())
                ours.append(self.ours())
            else:
                ours.append(self.ours())
                theirs.append(self.theirs())
        ratios = [own.rate / other.rate for own, other in zip(ours, theirs, strict=True)]
        return Row(
            self.name,
            self.work,
            self.opponent,
            statistics.median(timing.rate for timing in ours),
            statistics.median(timing.rate for timing in theirs),
            statistics.median(ratios),
            min(ratios),
            max(ratios),
            self.target,
            largest_difference(ours[-1].results, theirs[-1].results),
            self.tolerance,
        )


def largest_difference(ours: tuple[float, ...], theirs: tuple[float, ...]) -> float:
    """Return the largest relative difference of two results; infinite where one is not finite."""
    if len(ours) != len(theirs):
        return math.inf
    differences = [
        abs(own - other) / max(abs(other), 1e-12) if own != other else 0.0
        for own, other in zip(ours, theirs, strict=True)
    ]
    return max((d if math.isfinite(d) else math.inf for d in differences), default=math.inf)
