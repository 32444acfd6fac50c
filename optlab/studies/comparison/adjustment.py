"""Several comparisons at once: Holm's step-down procedure.

Reference:
    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6 (1979).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


def step_down(
    probabilities: Sequence[float], decides: Sequence[Callable[[float], bool]], alpha: float
) -> tuple[list[float], list[float]]:
    """Return the ``alpha`` at which each comparison is made, and the adjusted probabilities.

    The comparison with the smallest of k probabilities is made at ``alpha / k``, the next one at
    ``alpha / (k - 1)`` and so on, up to the first that is undecided: all others are made at its
    ``alpha``, and are undecided, too. That keeps the chance of any wrong decision at ``alpha``.

    Args:
        probabilities: one a comparison.
        decides: for each, whether it is decided at an ``alpha``.
        alpha: for all together.
    """
    order = sorted(range(len(probabilities)), key=probabilities.__getitem__)
    alphas, adjusted = [alpha] * len(order), [1.0] * len(order)
    least = 0.0
    going_on = True
    for place, index in enumerate(order):
        factor = len(order) - place
        least = max(least, min(1.0, factor * probabilities[index]))
        adjusted[index] = least
        if going_on:
            share = alpha / factor
            going_on = decides[index](share)
        alphas[index] = share
    return alphas, adjusted
