"""What a reading leaves behind in the loop, and the statistics that follow from it.

In the loop each call of torch costs as much as some thousand elements, so what can be computed from
the numbers of a reading is computed by the writer's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optlab.core.lazy import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
else:
    Floats = "NDArray[np.float64]"

MISSING = -1.0
"""Stands for a number that is not known: no statistic is negative."""
NAME = "reading"
"""Of the series that raw readings make before they are taken apart."""
PARTS = ("backward", "applied", "weight", "update", "pushed", "unmoved", "moment")
"""What a raw reading has for each tensor, part by part.

Norms of the gradient at the end of the backward pass and as the optimizer is given it; norms of the
sampled weights after the step and of what it has changed; the number of weights with a gradient, and
how many of those the step has not moved; the sum of the stored second moments.
"""
SCALES = ("backward_scale", "applied_scale", "moment_scale")
"""What it has once, behind them: by what gradients are divided, and second moments multiplied."""


def statistics_of(row: Floats, factors: Floats) -> dict[str, Floats]:
    """Return statistic → value ``[K]`` of each tensor, :data:`MISSING` where it is not known.

    Args:
        row: a raw reading, ``[len(PARTS) * K + len(SCALES)]``.
        factors: ``[K]``, what norms of samples are multiplied by.
    """
    parts = dict(zip(PARTS, row[: -len(SCALES)].reshape(len(PARTS), -1), strict=True))
    scales = dict(zip(SCALES, row[-len(SCALES) :], strict=True))
    known = {name: ~(values < 0.0) for name, values in parts.items()}

    def scaled(name: str) -> Floats:
        scale = scales[f"{name}_scale"]
        return parts[name] if scale < 0.0 else parts[name] / scale

    def where_known(name: str, values: Floats) -> Floats:
        return np.where(known[name], values, MISSING)

    with np.errstate(all="ignore"):
        applied = where_known("applied", scaled("applied"))
        found = {"gradient_norm": np.where(known["backward"], scaled("backward"), applied)}
        if not known["applied"].any():
            return found
        found["applied_gradient_norm"] = applied
        found["weight_norm"] = where_known("weight", parts["weight"] * factors)
        found["update_norm"] = where_known("update", parts["update"] * factors)
        share = parts["unmoved"] / np.maximum(parts["pushed"], 1.0)
        found["lost_share"] = where_known("pushed", share)
        if known["moment"].any():
            # Both are sums over the elements.
            surprise = applied**2 / (parts["moment"] * scales["moment_scale"])
            found["gradient_surprise"] = where_known("moment", surprise)
    return found
