"""Scatter of estimates from random batches against the batch size, with a fitted slope."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from optlab.studies.demonstrations._fits import line
from optlab.studies.demonstrations.base import Array, numbers

_RESAMPLED = 400
_MAX_LOG = 100.0
"""Logarithm of the size from which a batch counts as infinite."""


@dataclass(frozen=True)
class Slope:
    """A power law of scatter against batch size, fitted on logarithmic axes.

    Attributes:
        slope: with its 95% interval from ``low`` to ``high``. intercept: of the natural logarithm.
        resampled: slopes and intercepts of the bootstrap, ``[B, 2]``.
    """

    slope: float
    low: float
    high: float
    intercept: float
    resampled: Array

    def size_for(self, scatter: float) -> tuple[float, float, float]:
        """Return the batch size at which the scatter has this value, and its 95% interval."""
        (size,) = _sizes(scatter, numbers([[self.slope, self.intercept]]))
        return (float(size), *interval(self.resampled_sizes(scatter)))

    def resampled_sizes(self, scatter: float) -> Array:
        """Return the batch sizes of the bootstrap at which the scatter has this value, ``[B]``."""
        return _sizes(scatter, self.resampled)


def interval(values: Array) -> tuple[float, float]:
    """Return the 2.5% and 97.5% quantiles of ``values`` ``[B]``, which may be infinite."""
    if not len(values):
        return math.nan, math.nan
    low, high = np.percentile(values, [2.5, 97.5], method="nearest")
    return float(low), float(high)


def _sizes(scatter: float, fits: Array) -> Array:
    """Return the sizes ``[B]`` for slopes and intercepts ``[B, 2]``; infinite if not falling."""
    slopes, intercepts = fits.T
    falling = slopes < 0.0
    logs = np.full(len(fits), np.inf)
    logs[falling] = (math.log(scatter) - intercepts[falling]) / slopes[falling]
    return numbers(np.exp(np.where(logs > _MAX_LOG, np.inf, logs)))


def slope(sizes: Array, squares: Array, rng: np.random.Generator) -> Slope:
    """Fit ``log scatter = slope · log m + intercept``.

    Args:
        sizes: batch sizes m, ``[S]``.
        squares: squared distance of each draw from the value that it estimates, ``[S, K]``; the
            scatter is the root of their mean. The interval comes from resampling the K draws of
            each size with replacement.
    """
    x = np.log(sizes)

    def fitted(some: Array) -> tuple[float, float]:
        return line(x, 0.5 * np.log(some.mean(axis=1)))

    best = fitted(squares)
    draws = squares.shape[1]
    again = numbers(
        [
            fitted(np.take_along_axis(squares, rng.integers(0, draws, squares.shape), axis=1))
            for _ in range(_RESAMPLED)
        ]
    )
    low, high = np.percentile(again[:, 0], [2.5, 97.5])
    return Slope(best[0], float(low), float(high), best[1], again)


def batches(n: int, m: int, draws: int, rng: np.random.Generator, *, replace: bool) -> Array:
    """Return how often each example occurs in random batches of size ``m``, ``[draws, n]``."""
    if replace:
        return numbers(rng.multinomial(m, np.full(n, 1.0 / n), size=draws))
    order = rng.random((draws, n)).argpartition(m - 1, axis=1)[:, :m]
    counts = np.zeros((draws, n))
    np.put_along_axis(counts, order, 1.0, axis=1)
    return counts
