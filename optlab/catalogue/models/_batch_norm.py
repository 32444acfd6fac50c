"""Batch normalization: each unit shifted and scaled to mean 0 and variance 1, then by a learned
scale and shift.

The moments are part of the graph: the gradient knows that a step which only shifts or stretches a
unit changes nothing, and does not propose it. Each run takes the moments of its own batch, so no
run depends on another.
"""

from __future__ import annotations

from optlab.catalogue.models.capabilities import Moments
from optlab.core.lazy import torch


def moments(z: torch.Tensor) -> Moments:
    """Means and variances (over m, not m − 1) ``[R, 1, units]`` of ``z`` ``[R, m, units]``."""
    mean = z.mean(dim=1, keepdim=True)
    return mean, (z - mean).square().mean(dim=1, keepdim=True)


def normalized(
    z: torch.Tensor, known: Moments, scale: torch.Tensor, shift: torch.Tensor, epsilon: float
) -> torch.Tensor:
    """``γ (z − μ) / sqrt(δ + var) + β``.

    Args:
        z: ``[R, m, units]``. known: its moments, or those of the training set. scale, shift: ``[R,
            units]``. epsilon: δ.
    """
    mean, variance = known
    return torch.addcmul(
        shift.unsqueeze(1), (z - mean) * (epsilon + variance).rsqrt(), scale.unsqueeze(1)
    )
