"""Line search for a step length that satisfies the strong Wolfe conditions.

Bracketing and zooming with safeguarded cubic interpolation: J. Nocedal, S. Wright, *Numerical
Optimization*, Algorithms 3.5 and 3.6. One run at a time, because the number of evaluations differs
from run to run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Along = Callable[[float], tuple[float, float, "torch.Tensor"]]
"""Step length t → value φ(t), slope φ'(t) and gradient ``[1, P]`` at that point."""

MAX_EXTENSION = 1e10
"""Multiple of the first trial beyond which the search stops: the function appears unbounded below.
"""


@dataclass(frozen=True)
class Trial:
    """One evaluated step length.

    Attributes:
        t: step length.
        value: value of the function.
        slope: slope along the direction.
        gradient: gradient ``[1, P]``.
    """

    t: float
    value: float
    slope: float
    gradient: torch.Tensor


@dataclass(frozen=True)
class Search:
    """Result of a line search.

    Attributes:
        best: the trial to use; the start (t = 0) if no trial was better.
        evaluations: number of evaluations of the function.
        problem: why the strong Wolfe conditions do not hold, or "" if they do.
    """

    best: Trial
    evaluations: int
    problem: str = ""


def search(
    along: Along,
    start: Trial,
    first: float,
    *,
    c1: float = 1e-4,
    c2: float = 0.9,
    limit: int = 25,
    shortest: float = 0.0,
) -> Search:
    """Search for t with ``φ(t) ≤ φ(0) + c₁ t φ'(0)`` and ``|φ'(t)| ≤ c₂ |φ'(0)|``.

    Args:
        along: the function along the direction.
        start: the trial at t = 0; its slope must be negative.
        first: step length of the first trial.
        c1: constant of the sufficient decrease condition, 0 < c1 < c2.
        c2: constant of the curvature condition, c1 < c2 < 1; about 0.9 for quasi-Newton
            directions and 0.1 for conjugate gradients.
        limit: maximum number of evaluations.
        shortest: step length up to which rounding error hides the decrease; such steps are not
            tried.
    """
    if not start.slope < 0.0:
        return Search(start, 0, "the direction is not a descent direction")
    if first <= shortest:
        return Search(
            start, 0, "the expected decrease is below the rounding error of the objective's value"
        )
    state = _Search(along, start, first, c1, c2, limit, shortest)
    best = state.run()
    return Search(best, state.evaluations, state.problem)


class _Search:
    def __init__(
        self,
        along: Along,
        start: Trial,
        first: float,
        c1: float,
        c2: float,
        limit: int,
        shortest: float,
    ) -> None:
        self.along, self.start, self.first, self.c1, self.c2 = along, start, first, c1, c2
        self.limit, self.shortest = limit, shortest
        self.evaluations = 0
        self.problem = ""
        self.lowest = start

    def run(self) -> Trial:
        before, t = self.start, self.first
        too_long = math.inf
        while self.evaluations < self.limit:
            trial = self._try(t)
            if not math.isfinite(trial.value) or not math.isfinite(trial.slope):
                # Return towards the last finite trial.
                too_long, t = t, before.t + 0.1 * (t - before.t)
                if before is self.start:
                    # A first trial of any length can be that: it says nothing about the scale.
                    self.first = t
                continue
            if not self._decreases(trial) or (
                before is not self.start and trial.value >= before.value
            ):
                return self._zoom(before, trial)
            if self._flat(trial):
                return trial
            if trial.slope >= 0.0:
                return self._zoom(trial, before)
            before, t = (
                trial,
                min(max(2.0 * t, self._cubic(before, trial, outward=True)), 10.0 * t),
            )
            # Else each extension would leave again what the search has just come back to.
            t = min(t, 0.5 * (before.t + too_long))
            if t > MAX_EXTENSION * self.first:
                self.problem = "the objective appears unbounded below along this direction"
                return self.lowest
        return self._fail()

    def _zoom(self, low: Trial, high: Trial) -> Trial:
        """Narrow an interval that contains a good step; ``low`` has the lower value."""
        while self.evaluations < self.limit:
            width = abs(high.t - low.t)
            if width <= 1e-12 * max(self.first, low.t) or max(low.t, high.t) <= self.shortest:
                break
            t = self._cubic(low, high, outward=False)
            edge = 0.1 * width
            t = min(max(t, min(low.t, high.t) + edge), max(low.t, high.t) - edge)
            trial = self._try(t)
            if (
                not math.isfinite(trial.value)
                or not self._decreases(trial)
                or trial.value >= low.value
            ):
                high = trial
                continue
            if self._flat(trial):
                return trial
            if trial.slope * (high.t - low.t) >= 0.0:
                high = low
            low = trial
        return self._fail()

    def _fail(self) -> Trial:
        if self.lowest is self.start:
            self.problem = (
                f"no lower value was found along the direction in {self.evaluations} evaluations"
            )
        else:
            self.problem = (
                f"the strong Wolfe conditions were not met in {self.evaluations} evaluations; the"
                " lowest value was used"
            )
        return self.lowest

    def _try(self, t: float) -> Trial:
        self.evaluations += 1
        trial = Trial(t, *self.along(t))
        if math.isfinite(trial.value) and trial.value < self.lowest.value:
            self.lowest = trial
        return trial

    def _decreases(self, trial: Trial) -> bool:
        return trial.value <= self.start.value + self.c1 * trial.t * self.start.slope

    def _flat(self, trial: Trial) -> bool:
        return abs(trial.slope) <= -self.c2 * self.start.slope

    @staticmethod
    def _cubic(a: Trial, b: Trial, *, outward: bool) -> float:
        """Return the minimizer of the cubic through both values and slopes.

        If it has none, return the midpoint, or infinity when extrapolating.
        """
        fallback = math.inf if outward else 0.5 * (a.t + b.t)
        if not (math.isfinite(b.value) and math.isfinite(b.slope)) or a.t == b.t:
            return fallback
        d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.t - b.t)
        square = d1 * d1 - a.slope * b.slope
        if square < 0.0:
            return fallback
        d2 = math.copysign(math.sqrt(square), b.t - a.t)
        denominator = b.slope - a.slope + 2.0 * d2
        if denominator == 0.0:
            return fallback
        t = b.t - (b.t - a.t) * (b.slope + d2 - d1) / denominator
        return t if math.isfinite(t) else fallback
