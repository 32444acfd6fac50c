"""Smoothing: the exponential moving average of a series, as TensorBoard and W&B draw it.

The average starts without a bias towards zero: the first value is itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from optlab.gui.plots.curve_rows import Floats, Ints
from optlab.gui.plots.pyramid import Pyramid

_BLOCK = 128
"""Values that are averaged by one matrix product."""


class Average(NamedTuple):
    """Where an average stands.

    Attributes:
        sum: weighted sum of the values so far. share: sum of their weights, which tends to 1.
    """

    sum: float = 0.0
    share: float = 0.0


def moving_average(
    values: Floats,
    weight: float,
    before: Average = Average(),  # noqa: B008 (immutable)
) -> tuple[Floats, Average]:
    """Return the exponential moving average of values ``[n]``, and where it stands after them.

    NaN stays a gap and counts for nothing.

    Args:
        values: ``[n]``.
        weight: of the past, at least 0 and less than 1.
        before: where the average stands before them.
    """
    finite = np.isfinite(values)
    result = np.full(len(values), np.nan)
    good = values[finite]
    if not len(good):
        return result, before
    count = -(-len(good) // _BLOCK)
    padded = np.zeros((count, _BLOCK))
    padded.reshape(-1)[: len(good)] = good
    power = np.arange(_BLOCK)
    kernel = np.tril(weight ** np.maximum(power[:, None] - power, 0)) * (1.0 - weight)
    local = padded @ kernel.T
    carried, fades = np.empty(count), weight**_BLOCK
    carry = before.sum
    for block, end in enumerate(local[:, -1].tolist()):
        carried[block] = carry
        carry = carry * fades + end
    sums = (local + carried[:, None] * weight ** (power + 1.0)).reshape(-1)[: len(good)]
    shares = 1.0 - (1.0 - before.share) * weight ** np.arange(1.0, len(good) + 1.0)
    result[finite] = sums / shares
    return result, Average(float(sums[-1]), float(shares[-1]))


class Smoothed:
    """The moving average of a series that grows.

    Args:
        weight: of the past, at least 0 and less than 1.

    Attributes:
        samples: of the average.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.samples = Pyramid()
        self._average = Average()

    def append(self, steps: Ints, values: Floats) -> None:
        """Append samples ``[n]`` of the series."""
        smooth, self._average = moving_average(
            np.asarray(values, dtype=np.float64), self.weight, self._average
        )
        self.samples.append(steps, smooth)
