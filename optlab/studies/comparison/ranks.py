"""Medians of effects with distribution-free intervals, for values that are only bounded.

Paired, the effect is the median of the pairs, and its interval ends at two of them in order of
size; how many pairs lie below the median is binomial, whatever their distribution. Unpaired, it is
the median of the differences between every value of one arm and every value of the other (Hodges
and Lehmann's estimate of a shift), and how many of them lie below the shift has the distribution of
Mann and Whitney, if the arms differ by a shift only, or by a factor for a ratio.

A difference of bounded values is itself an interval. The lower end of the confidence interval is
taken from the lower ends of the differences and the upper one from the upper ends, so that it holds
the effect with at least its level wherever the values lie within their bounds. That covers runs
that were stopped at a bound, unknown values, and values known to lie between two evaluations.

Why not an inverted log-rank or Gehan test (``scipy.stats.logrank``, ``lifelines``): its level is
that of large samples and 8 seeds are none; shifting one arm shifts its bounds, so that the arms are
no longer censored alike; and it takes runs that diverged for ones that were stopped by chance.
Kaplan-Meier medians have the first fault, too. What that costs is that undetermined pairs count
against a decision.

References:
    E. L. Lehmann, Nonparametrics: statistical methods based on ranks (1975).
    G. E. Noether, Wilcoxon confidence intervals for location parameters in the discrete case, JASA
    62 (1967): with ties the closed intervals hold the effect with at least their level.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable

import numpy as np

from optlab.studies.comparison.distributions import (
    binomial_tails,
    normal_quantile,
    rank_tails,
)
from optlab.studies.comparison.estimate import UNBOUNDED, fewest
from optlab.studies.comparison.samples import Floats
from optlab.studies.comparison.statement import Criterion, Interval

_ROUNDING = 1e-9
_COUNTED = 64
"""Largest number of seeds for which the plan for more seeds counts ranks exactly."""


class Ranks:
    """The median of differences that are known to lie between two ends, ``[N]`` each.

    Args:
        low, high: the ends of the differences.
        tails: entry k is the probability that at most k of the differences lie below their true
            median, or at most k above it.
        planned: how many differences an interval leaves out on either side, as a share, for a
            number of seeds and a level ``alpha``; negative where there are too few.
        noun: what the effect is, for ``method``.
    """

    def __init__(
        self,
        low: Floats,
        high: Floats,
        tails: Floats,
        planned: Callable[[int, float], float],
        noun: str,
    ) -> None:
        self._low, self._high = np.sort(low), np.sort(high)
        self._tails = tails
        self._planned = planned
        least, most = middle(self._low), middle(self._high)
        self.effect, bound = _effect(least, most)
        self.method = noun + bound

    @classmethod
    def paired(cls, low: Floats, high: Floats) -> Ranks:
        """Return the median of pairs whose effects lie between two ends, ``[n]`` each."""
        return cls(
            low,
            high,
            binomial_tails(low.size),
            _planned_pairs,
            "median of the pairs, order statistics",
        )

    @classmethod
    def unpaired(cls, low: Floats, high: Floats, noun: str) -> Ranks:
        """Return the median over all pairs, whose effects lie between two ends, ``[n, m]`` each."""
        return cls(
            low.ravel(),
            high.ravel(),
            rank_tails(*low.shape),
            _planned_arms,
            f"{noun}, Mann-Whitney interval",
        )

    def _ends(self, k: int) -> Interval:
        """Return the interval that leaves out k differences on either side."""
        return float(self._low[k]), float(self._high[self._high.size - 1 - k])

    def interval(self, alpha: float) -> Interval:
        k = _left_out(self._tails, alpha)
        return UNBOUNDED if k < 0 else self._ends(min(k, (self._low.size - 1) // 2))

    def p_value(self, criterion: Criterion) -> float:
        widths = range((self._low.size - 1) // 2 + 1)
        k = bisect.bisect_left(widths, True, key=lambda k: criterion.decided(self._ends(k)))
        return float(self._tails[k]) if k < len(widths) else 1.0

    def seeds_needed(self, criterion: Criterion, alpha: float) -> int | None:
        pairs = self._low.size
        if not criterion.decided(self._ends((pairs - 1) // 2)):
            return None

        def decides(seeds: int) -> bool:
            share = self._planned(seeds, alpha)
            return share >= 0.0 and criterion.decided(self._ends(int(share * pairs + _ROUNDING)))

        found = fewest(decides)
        # What an interval leaves out grows with the seeds by whole numbers, hence not evenly.
        while found is not None and any(map(decides, range(max(2, found - 3), found))):
            found -= 1
        return found


def _left_out(tails: Floats, alpha: float) -> int:
    """Return the largest entry that is at most ``alpha``, -1 if there is none."""
    return int(np.searchsorted(tails, alpha * (1.0 + _ROUNDING), "right")) - 1


def _planned_pairs(seeds: int, alpha: float) -> float:
    if seeds <= _COUNTED:
        return min(_left_out(binomial_tails(seeds), alpha), (seeds - 1) // 2) / seeds
    return 0.5 + normal_quantile(alpha / 2) / (2.0 * math.sqrt(seeds)) - 0.5 / seeds


def _planned_arms(seeds: int, alpha: float) -> float:
    pairs = seeds * seeds
    if seeds <= _COUNTED:
        return min(_left_out(rank_tails(seeds, seeds), alpha), (pairs - 1) // 2) / pairs
    spread = math.sqrt((2 * seeds + 1) / 12) / seeds
    return 0.5 + normal_quantile(alpha / 2) * spread - 0.5 / pairs


def middle(values: Floats) -> float:
    """Return the median of values ``[N]``, which may be infinite on one side."""
    ordered = np.sort(values)
    low, high = ordered[(ordered.size - 1) // 2], ordered[ordered.size // 2]
    return float(low if low == high else low / 2 + high / 2)


def _effect(least: float, most: float) -> tuple[float, str]:
    """Return an effect that is known between two ends, and words for what it is."""
    if least == most:
        return least, ""
    if math.isfinite(least) and math.isfinite(most):
        return least / 2 + most / 2, " (effect: middle of its bounds)"
    if math.isfinite(least):
        return least, " (effect: at least)"
    return (most, " (effect: at most)") if math.isfinite(most) else (math.nan, " (effect: unknown)")
