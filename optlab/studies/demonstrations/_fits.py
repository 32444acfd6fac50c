"""Fits and their intervals: straight lines, shares, the bootstrap, rank correlation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from optlab.studies.demonstrations.base import Array, numbers

NORMAL = 1.959963984540054
"""97.5% quantile of the standard normal distribution, for 95% intervals."""


def line(x: Array, y: Array) -> tuple[float, float]:
    """Return slope and intercept of the least-squares line through ``x``, ``y`` ``[n]``."""
    slope, intercept = np.polyfit(numbers(x), numbers(y), 1)
    return float(slope), float(intercept)


def resampled(
    draws: Array, statistic: Callable[[Array], float], rng: np.random.Generator, times: int = 400
) -> tuple[float, float]:
    """Return the 95% bootstrap interval of ``statistic``.

    The rows of ``draws`` ``[K, …]`` are resampled with replacement.
    """
    values = [statistic(draws[rng.integers(0, len(draws), len(draws))]) for _ in range(times)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def share_interval(hits: int, trials: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share, which stays within [0, 1] in all cases."""
    if trials == 0:
        return 0.0, 1.0
    share, square = hits / trials, NORMAL**2 / trials
    middle = (share + 0.5 * square) / (1.0 + square)
    half = math.sqrt(share * (1.0 - share) * square + 0.25 * square**2) / (1.0 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def ranks(values: Array) -> Array:
    """Return ranks from 1, ``[n]``; equal values share their mean rank."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle = last - 0.5 * (counts - 1)
    return numbers(middle[where])


def rank_correlation(x: Array, y: Array) -> float:
    """Return Spearman's correlation of ``x`` and ``y`` ``[n]``; NaN if one of them is constant."""
    a, b = ranks(numbers(x)), ranks(numbers(y))
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size > 0.0 else float("nan")
