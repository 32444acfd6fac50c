"""Effects with a standard error, and the t intervals that follow."""

from __future__ import annotations

from abc import ABC, abstractmethod

from optlab.studies.comparison.distributions import t_probability, t_quantile
from optlab.studies.comparison.estimate import UNBOUNDED, fewest
from optlab.studies.comparison.statement import Criterion, Interval


class Student(ABC):
    """An effect whose distance from the truth, in standard errors, is a t variable.

    Args:
        effect: the estimate.
        error: its standard error.
        freedom: degrees of freedom; 0 or less if the error cannot be estimated.
        noun: what the effect is, for ``method``.
        kind: name of the interval.
    """

    def __init__(
        self, effect: float, error: float, freedom: float, noun: str, kind: str = "t interval"
    ) -> None:
        self.effect = effect
        self._error, self._freedom = error, freedom
        self._estimable = freedom > 0.0
        self._flat = self._estimable and error == 0.0
        if not self._estimable:
            kind = "no interval from so few seeds"
        elif self._flat:
            kind = "no spread: the interval is the point"
        self.method = f"{noun}, {kind}"

    def interval(self, alpha: float) -> Interval:
        if not self._estimable:
            return UNBOUNDED
        reach = 0.0 if self._flat else self._error * t_quantile(alpha, self._freedom)
        return self.effect - reach, self.effect + reach

    def p_value(self, criterion: Criterion) -> float:
        if not self._estimable:
            return 1.0
        if self._flat:
            return 0.0 if criterion.decided((self.effect, self.effect)) else 1.0
        return t_probability(self._distance(criterion) / self._error, self._freedom)

    def seeds_needed(self, criterion: Criterion, alpha: float) -> int | None:
        distance = self._distance(criterion)
        if not self._estimable or self._flat or distance == 0.0:
            return None

        def decides(seeds: int) -> bool:
            error, freedom = self._planned(seeds)
            return freedom > 0.0 and error * t_quantile(alpha, freedom) < distance

        return fewest(decides)

    def _distance(self, criterion: Criterion) -> float:
        return min(abs(self.effect - boundary) for boundary in criterion.boundaries)

    @abstractmethod
    def _planned(self, seeds: int) -> tuple[float, float]:
        """Return error and degrees of freedom with another number of seeds per arm."""
