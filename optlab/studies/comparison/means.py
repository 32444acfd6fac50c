"""Effects that are weighted sums of means, with t intervals and BCa bootstrap intervals.

The mean of paired differences is one group with the weight 1, the difference of two arms two groups
with the weights 1 and -1, a trend over several arms one group an arm.

References:
    B. L. Welch, The generalization of "Student's" problem, Biometrika 34 (1947).
    B. Efron, Better bootstrap confidence intervals, JASA 82 (1987).
    T. C. Hesterberg, What teachers should know about the bootstrap, The American Statistician 69
    (2015): with few values a percentile interval is too short, because resamples spread as the
    variance with the divisor n does, and because quantiles are those of the normal distribution.
    Expanded percentiles mend both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from optlab.studies.comparison.distributions import (
    normal_probability,
    normal_quantile,
    t_quantile,
)
from optlab.studies.comparison.estimate import smallest_alpha
from optlab.studies.comparison.samples import Floats
from optlab.studies.comparison.statement import Criterion, Interval
from optlab.studies.comparison.student import Student

RESAMPLES = 99_999
"""Number of bootstrap resamples: with 8 seeds they resolve levels up to 0.989."""
_BEYOND = 10
"""Least number of resamples beyond an end of an interval."""
_ROUNDING = 16.0 * float(np.finfo(np.float64).eps)


class Means(Student):
    """A weighted sum of the means of independent groups, with Welch's t interval.

    Args:
        groups: the values, ``[n]`` each.
        weights: one a group.
        noun: what the effect is, for ``method``.
        rounding: spread of the values that is only rounding.
    """

    _kind = "t interval"

    def __init__(
        self,
        groups: Sequence[Floats],
        weights: Sequence[float],
        noun: str,
        rounding: float = 0.0,
    ) -> None:
        # In a unit that is a power of two, so that squares neither overflow nor vanish.
        self._unit = 2.0 ** math.frexp(max(float(np.abs(g).max()) for g in groups))[1]
        # In an order of their own, so that exchanged arms share their resamples, too.
        order = sorted(range(len(groups)), key=lambda index: groups[index].tolist())
        groups = self._groups = [groups[index] / self._unit for index in order]
        self._weights = np.array([weights[index] for index in order], dtype=np.float64)
        self._sizes = np.array([group.size for group in groups], dtype=np.float64)
        flat = [float(np.ptp(group)) <= rounding / self._unit for group in groups]
        # The mean of equal values is rounded; their median is not.
        means = [np.median(g) if same else np.mean(g) for g, same in zip(groups, flat, strict=True)]
        self._variances = np.array(
            [
                0.0 if same else float(np.var(g, ddof=1))
                for g, same in zip(groups, flat, strict=True)
            ]
        )
        error, freedom = self._welch(self._sizes)
        kind = f"Welch {self._kind}" if len(groups) == 2 and self._kind[0] == "t" else self._kind
        super().__init__(
            self._unit * float(self._weights @ np.array(means)), error, freedom, noun, kind
        )

    def _welch(self, sizes: Floats) -> tuple[float, float]:
        if (self._sizes < 2).any():
            return math.nan, 0.0
        parts = self._weights**2 * self._variances / sizes
        total = float(parts.sum())
        if total == 0.0:
            return 0.0, math.inf
        # As shares of the whole: squares of small variances would underflow.
        return self._unit * math.sqrt(total), float(
            1.0 / ((parts / total) ** 2 / (sizes - 1)).sum()
        )

    def _planned(self, seeds: int) -> tuple[float, float]:
        return self._welch(np.full(len(self._groups), float(seeds)))


class BootstrapMeans(Means):
    """The same effect with a bias-corrected and accelerated (BCa) bootstrap interval.

    Efron's percentiles alone hold the effect far too rarely with few seeds: of 8 values at the
    level 0.95 in 0.88 (normal), 0.82 (Laplace) and 0.79 (lognormal) of the cases. They are taken at
    the level that Hesterberg's expansion asks for, and the interval is at least the t interval:
    then it is 0.98, 0.96 and 0.96. (The t interval alone: 0.95, 0.95 and 0.81.)

    Equal data give equal intervals, because the resamples have a fixed seed. An end beyond which
    fewer than ten resamples lie is not known, hence infinite. The number of seeds that would decide
    is that of the t interval.
    """

    _kind = "BCa bootstrap interval, at least the t interval"

    @cached_property
    def _resampled(self) -> Floats:
        """The effects of all resamples, sorted, ``[RESAMPLES]``."""
        random = np.random.default_rng(0)
        effects = np.zeros(RESAMPLES)
        for group, weight in zip(self._groups, self._weights, strict=True):
            step = max(1, 2**22 // group.size)
            for first in range(0, RESAMPLES, step):
                rows = min(step, RESAMPLES - first)
                picked = random.integers(0, group.size, (rows, group.size))
                effects[first : first + rows] += weight * group[picked].mean(axis=1)
        return np.sort(effects) * self._unit

    @cached_property
    def _bias(self) -> float:
        # Resamples with the very mean of the values differ from it by rounding.
        tie = _ROUNDING * self._unit * float(np.abs(self._weights).sum())
        below = np.searchsorted(self._resampled, self.effect - tie, "left")
        up_to = np.searchsorted(self._resampled, self.effect + tie, "right")
        return normal_quantile((below + up_to) / 2 / RESAMPLES)

    @cached_property
    def _acceleration(self) -> float:
        """From the jackknife, whose values of a mean need no loop."""
        influence = [
            w * (g - g.mean()) / g.size for g, w in zip(self._groups, self._weights, strict=True)
        ]
        third = sum(float((part**3).sum()) for part in influence)
        second = sum(float((part**2).sum()) for part in influence)
        return third / (6.0 * math.pow(second, 1.5))

    def percentiles(self, tail: float) -> Interval:
        """Return Efron's BCa interval with so much in each tail."""
        low, high = (self._share(z) for z in (normal_quantile(tail), -normal_quantile(tail)))
        known = _BEYOND / RESAMPLES
        return (
            self._quantile(low) if low >= known else -math.inf,
            self._quantile(high) if 1.0 - high >= known else math.inf,
        )

    def _share(self, z: float) -> float:
        """Return the share of resamples below the end that belongs to a normal quantile."""
        shifted = self._bias + z
        shrink = 1.0 - self._acceleration * shifted
        if shrink <= 0.0:
            return 0.0 if z < 0.0 else 1.0
        return normal_probability(self._bias + shifted / shrink)

    def _quantile(self, share: float) -> float:
        place = share * (RESAMPLES - 1)
        first = min(int(place), RESAMPLES - 2)
        low, high = self._resampled[first : first + 2]
        return float(low + (place - first) * (high - low))

    def interval(self, alpha: float) -> Interval:
        if not self._estimable or self._flat:
            return super().interval(alpha)
        parts = self._weights**2 * self._variances * (self._sizes - 1.0) / self._sizes**2
        resampled_error = self._unit * math.sqrt(float(parts.sum()))
        reach = t_quantile(alpha, self._freedom) * self._error / resampled_error
        percentiles = self.percentiles(normal_probability(-reach))
        low, high = super().interval(alpha)
        return min(low, percentiles[0]), max(high, percentiles[1])

    def p_value(self, criterion: Criterion) -> float:
        if not self._estimable or self._flat:
            return super().p_value(criterion)
        return smallest_alpha(lambda alpha: criterion.decided(self.interval(alpha)))
