"""Line search for a step length that satisfies the strong Wolfe conditions.

Bracketing and zooming with safeguarded cubic interpolation: J. Nocedal, S. Wright, *Numerical
Optimization*, Algorithms 3.5 and 3.6. One run at a time: the number of evaluations differs from run
to run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Along = Callable[[float], tuple[float, float, "torch.Tensor"]]
"""Step length t → value φ(t), slope φ'(t), and gradient ``[1, P]`` at that point."""

LONGEST = 1e10
"""Step length beyond which a search gives up: the function falls for ever."""


@dataclass(frozen=True)
class Trial:
    """One step length that was tried, with the value, the slope along the direction and the
    gradient found there.
    """

    t: float
    value: float
    slope: float
    gradient: torch.Tensor


@dataclass(frozen=True)
class Search:
    """What a line search found.

    Attributes:
        best: the trial to take; the start (t = 0) where nothing better was found.
        evaluations: how often the function was asked.
        problem: why the conditions do not hold, in words; "" where they do.
    """

    best: Trial
    evaluations: int
    problem: str = ""


def search(
    along: Along, start: Trial, first: float, *, c1: float = 1e-4, c2: float = 0.9, most: int = 25
) -> Search:
    """A step length t with ``φ(t) ≤ φ(0) + c₁ t φ'(0)`` and ``|φ'(t)| ≤ c₂ |φ'(0)|``.

    Args:
        along: the function along the direction.
        start: the trial at t = 0; its slope must be negative.
        first: step length to try first.
        c1, c2: 0 < c1 < c2 < 1; c2 about 0.9 for quasi-Newton directions, 0.1 for conjugate
            gradients.
        most: evaluations to spend at most.
    """
    if not start.slope < 0.0:
        return Search(start, 0, "the direction does not lead downhill")
    state = _Search(along, start, c1, c2, most)
    best = state.run(first)
    return Search(best, state.evaluations, state.problem)


class _Search:
    def __init__(self, along: Along, start: Trial, c1: float, c2: float, most: int) -> None:
        self.along, self.start, self.c1, self.c2, self.most = along, start, c1, c2, most
        self.evaluations = 0
        self.problem = ""
        self.lowest = start

    def run(self, first: float) -> Trial:
        before, t = self.start, first
        while self.evaluations < self.most:
            here = self._try(t)
            if not math.isfinite(here.value) or not math.isfinite(here.slope):
                # Too far out for the function: come back towards what is known to be finite.
                t = before.t + 0.1 * (t - before.t)
                continue
            if not self._decreases(here) or (
                before is not self.start and here.value >= before.value
            ):
                return self._zoom(before, here)
            if self._flat(here):
                return here
            if here.slope >= 0.0:
                return self._zoom(here, before)
            before, t = here, min(max(2.0 * t, self._cubic(before, here, outward=True)), 10.0 * t)
            if t > LONGEST:
                self.problem = "the objective seems to fall for ever along this direction"
                return self.lowest
        return self._give_up()

    def _zoom(self, low: Trial, high: Trial) -> Trial:
        """Narrow an interval that holds a good step; ``low`` has the lower value."""
        while self.evaluations < self.most:
            width = abs(high.t - low.t)
            if width <= 1e-12 * max(1.0, abs(low.t)):
                break
            t = self._cubic(low, high, outward=False)
            edge = 0.1 * width
            t = min(max(t, min(low.t, high.t) + edge), max(low.t, high.t) - edge)
            here = self._try(t)
            if (
                not math.isfinite(here.value)
                or not self._decreases(here)
                or here.value >= low.value
            ):
                high = here
                continue
            if self._flat(here):
                return here
            if here.slope * (high.t - low.t) >= 0.0:
                high = low
            low = here
        return self._give_up()

    def _give_up(self) -> Trial:
        if self.lowest is self.start:
            self.problem = (
                f"no lower value was found along the direction in {self.evaluations} evaluations"
            )
        else:
            self.problem = f"the strong Wolfe conditions were not met in {self.evaluations} evaluations; the lowest value found was taken"
        return self.lowest

    def _try(self, t: float) -> Trial:
        self.evaluations += 1
        trial = Trial(t, *self.along(t))
        if math.isfinite(trial.value) and trial.value < self.lowest.value:
            self.lowest = trial
        return trial

    def _decreases(self, here: Trial) -> bool:
        return here.value <= self.start.value + self.c1 * here.t * self.start.slope

    def _flat(self, here: Trial) -> bool:
        return abs(here.slope) <= -self.c2 * self.start.slope

    @staticmethod
    def _cubic(a: Trial, b: Trial, *, outward: bool) -> float:
        """Minimizer of the cubic through both values and slopes; the middle (or ten times as far)
        where it has none.
        """
        fallback = 10.0 * b.t if outward else 0.5 * (a.t + b.t)
        if not (math.isfinite(b.value) and math.isfinite(b.slope)) or a.t == b.t:
            return fallback
        d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.t - b.t)
        square = d1 * d1 - a.slope * b.slope
        if square < 0.0:
            return fallback
        d2 = math.copysign(math.sqrt(square), b.t - a.t)
        below = b.slope - a.slope + 2.0 * d2
        if below == 0.0:
            return fallback
        t = b.t - (b.t - a.t) * (b.slope + d2 - d1) / below
        return t if math.isfinite(t) else fallback
