"""Probabilities and quantiles, by ``scipy.special``.

``scipy.stats`` computes them by the same functions, but takes ten times as long to import and
brings most of SciPy into an installed program.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from optlab.studies.comparison.samples import Floats

_EXACT = 2**14
"""Largest product of two numbers of seeds for which ranks are counted and not approximated."""


def t_quantile(alpha: float, freedom: float) -> float:
    """Return the bound that the size of a t variable exceeds with probability ``alpha``."""
    from scipy import special

    if math.isinf(freedom):
        return -normal_quantile(alpha / 2)
    return float(-special.stdtrit(freedom, alpha / 2))


def t_probability(size: float, freedom: float) -> float:
    """Return the probability that the size of a t variable exceeds a bound."""
    from scipy import special

    if math.isinf(freedom):
        return 2.0 * normal_probability(-size)
    return float(2.0 * special.stdtr(freedom, -size))


def normal_quantile(share: float) -> float:
    """Return the value below which a normal variable lies with a probability."""
    from scipy import special

    return float(special.ndtri(share))


def normal_probability(value: float) -> float:
    """Return the probability that a normal variable lies below a value."""
    from scipy import special

    return float(special.ndtr(value))


def binomial_tails(seeds: int) -> Floats:
    """Return the two-sided probabilities of few heads among tosses of a fair coin.

    Shape ``[seeds // 2 + 1]``: entry k is the probability that heads or tails occur at most k
    times.
    """
    from scipy import special

    heads = np.arange(seeds // 2 + 1)
    tails: Floats = np.minimum(1.0, 2.0 * special.bdtr(heads.astype(float), seeds, 0.5))
    return tails


def rank_tails(first: int, second: int) -> Floats:
    """Return the two-sided probabilities of small Mann-Whitney statistics of equal arms.

    Shape ``[first * second // 2 + 1]``: entry u is the probability that the statistic, the number
    of pairs in which one arm is ahead, is at most u for either arm. Counted exactly for up to 2^14
    pairs (without ties), else by the normal approximation with a correction for continuity.
    """
    if first * second <= _EXACT:
        return _counted(min(first, second), max(first, second))
    from scipy import special

    pairs = first * second
    spread = math.sqrt(pairs * (first + second + 1) / 12)
    u = np.arange(pairs // 2 + 1)
    tails: Floats = np.minimum(1.0, 2.0 * special.ndtr((u + 0.5 - pairs / 2) / spread))
    return tails


@functools.lru_cache(maxsize=64)
def _counted(first: int, second: int) -> Floats:
    """Expand the generating function of Mann and Whitney, a Gaussian binomial, in whole numbers."""
    counts = np.zeros(first * second // 2 + 1, dtype=object)
    counts[0] = 1
    for i in range(1, first + 1):
        # times 1 - q^(second + i), divided by 1 - q^i
        shifted = counts.copy()
        shifted[second + i :] -= counts[: max(0, counts.size - second - i)]
        for start in range(min(i, shifted.size)):
            shifted[start::i] = np.cumsum(shifted[start::i])
        counts = shifted
    total = math.comb(first + second, first)
    tails = np.array([min(1.0, 2 * below / total) for below in np.cumsum(counts)])
    tails.setflags(write=False)
    return tails
