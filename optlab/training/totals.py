"""Sums over the steps of a run: how much was clipped, and how many gradients were evaluated.

A snapshot has them in its memory, so that a run that is resumed goes on adding to them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from optlab.core.lazy import torch
from optlab.training.snapshot import CLIPPED, GRADIENTS, Snapshot


def clipped_before(
    snapshots: Sequence[Snapshot] | None, theta: torch.Tensor, runs: int
) -> torch.Tensor:
    """Return the sums ``[R]`` of clipped shares so far; NaN where a snapshot has none.

    Args:
        theta: parameters ``[R, P]``, for device and precision.
    """
    return theta.new_tensor(_before(snapshots, CLIPPED, runs))


def evaluated_before(snapshots: Sequence[Snapshot] | None, runs: int) -> torch.Tensor:
    """Return the numbers ``[R]`` of gradients so far; NaN where a snapshot has none."""
    return torch.tensor(_before(snapshots, GRADIENTS, runs), dtype=torch.float64)


def _before(snapshots: Sequence[Snapshot] | None, name: str, runs: int) -> list[float]:
    if not snapshots:
        return [0.0] * runs
    return [0.0 if one.step == 0 else one.memory.get(name, math.nan) for one in snapshots]


def kept_totals(
    clipped: torch.Tensor | None, evaluations: torch.Tensor | None, run: int
) -> dict[str, float]:
    """Return what is known of a run's sums ``[R]``, as entries of a snapshot's memory."""
    sums = {CLIPPED: clipped, GRADIENTS: evaluations}
    totals = {name: float(sum_[run]) for name, sum_ in sums.items() if sum_ is not None}
    return {name: total for name, total in totals.items() if math.isfinite(total)}
