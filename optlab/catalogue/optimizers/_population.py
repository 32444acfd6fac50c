"""Values at many points of one run, in one call where the objective supports it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from optlab.catalogue.optimizers.base import Objective
from optlab.core.lazy import torch


@runtime_checkable
class BatchedValues(Protocol):
    """An objective that evaluates many points of each run in one call."""

    def values(self, points: torch.Tensor) -> torch.Tensor:
        """Return the values ``[R, K]`` at ``points`` ``[R, K, P]``."""


def values(objective: Objective, points: torch.Tensor) -> torch.Tensor:
    """Return the values ``[K]`` of the objective of one run at ``points`` ``[K, P]``."""
    if isinstance(objective, BatchedValues):
        return objective.values(points.unsqueeze(0)).squeeze(0)
    return torch.cat([objective.loss(point.unsqueeze(0)) for point in points])
