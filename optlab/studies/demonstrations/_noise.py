"""Scatter of estimates from random batches against the batch size, with a fitted slope."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optlab.studies.demonstrations._fits import line
from optlab.studies.demonstrations.base import Array, numbers

_RESAMPLED = 400


@dataclass(frozen=True)
class Slope:
    """A power law of scatter against batch size, fitted on logarithmic axes.

    Attributes:
        slope: with its 95% interval from ``low`` to ``high``. intercept: of the natural logarithm.
    """

    slope: float
    low: float
    high: float
    intercept: float


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
    again = [
        fitted(np.take_along_axis(squares, rng.integers(0, draws, squares.shape), axis=1))[0]
        for _ in range(_RESAMPLED)
    ]
    low, high = np.percentile(again, [2.5, 97.5])
    return Slope(best[0], float(low), float(high), best[1])


def batches(n: int, m: int, draws: int, rng: np.random.Generator, *, replace: bool) -> Array:
    """Return how often each of ``n`` examples occurs in each of ``draws`` random batches of size
    ``m``, ``[draws, n]``.
    """
    if replace:
        return numbers(rng.multinomial(m, np.full(n, 1.0 / n), size=draws))
    order = rng.random((draws, n)).argpartition(m - 1, axis=1)[:, :m]
    counts = np.zeros((draws, n))
    np.put_along_axis(counts, order, 1.0, axis=1)
    return counts
