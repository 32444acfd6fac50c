"""Batch normalization: units with mean 0 and variance 1 over the batch, scaled and shifted.

The moments are part of the graph, so gradients have no component along changes that only shift or
scale a unit. Each run uses the moments of its own batch, so no run depends on another.
"""

from __future__ import annotations

from collections.abc import Callable

from optlab.catalogue.models.capabilities import Moments
from optlab.core.lazy import torch


def moments(
    z: torch.Tensor, batch_mean: Callable[[torch.Tensor], torch.Tensor] | None = None
) -> Moments:
    """Return mean and variance (over m, not m − 1) ``[R, 1, units]`` of ``z`` ``[R, m, units]``.

    Args:
        z: values of the batch, or of the part of it that ``batch_mean`` completes; see
            :class:`~optlab.catalogue.models.base.ForwardContext`.
    """
    if batch_mean is not None:
        mean = batch_mean(z)
        return mean, batch_mean((z - mean).square())
    mean = z.mean(dim=1, keepdim=True)
    return mean, (z - mean).square().mean(dim=1, keepdim=True)


def normalized(
    z: torch.Tensor, statistics: Moments, scale: torch.Tensor, shift: torch.Tensor, epsilon: float
) -> torch.Tensor:
    """Return ``γ (z − μ) / sqrt(δ + var) + β``.

    Args:
        z: ``[R, m, units]``.
        statistics: moments ``[R, 1, units]`` of ``z``, or those of the training set.
        scale: γ, ``[R, units]``.
        shift: β, ``[R, units]``.
        epsilon: δ.
    """
    mean, variance = statistics
    return torch.addcmul(
        shift.unsqueeze(1), (z - mean) * (epsilon + variance).rsqrt(), scale.unsqueeze(1)
    )
