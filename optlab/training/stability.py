"""Up to which curvature the rules of a population are stable, at the rates of their last step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optlab.catalogue.instruments.base import Stability
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.lazy import torch
from optlab.training.groups import Group


def stability_of(groups: Sequence[Group], theta: torch.Tensor, step: int) -> Stability | None:
    """Return the stability of runs with parameters ``theta`` ``[R, P]`` after ``step`` steps.

    Clipping and averaging are left out of account: the bound is that
    of the rule alone. Where gradients are stale, it does not hold, and is NaN.

    Returns:
        None before the first step, and where no rule has a bound.
    """
    largest = theta.new_full((len(theta),), float("nan"))
    preconditioner: torch.Tensor | None = None
    known = False
    for group in groups:
        taken = step - group.begun.optimizer
        if taken < 1 or any(delay.longest() for delay in group.delays):
            continue
        h = Hyperparameters(**{**vars(group.h), "step": taken})
        product = group.optimizer.largest_stable(h)
        if product is None:
            continue
        known = True
        if isinstance(product, torch.Tensor) or isinstance(h.lr, torch.Tensor):
            rate = torch.as_tensor(h.lr, dtype=theta.dtype, device=theta.device)
            largest[group.rows] = (product / rate).reshape(-1).expand(len(group.rows))
        else:
            bound = product / h.lr if h.lr else math.inf
            # Indexing all rows by a slice takes a third of the time.
            largest[... if group.index is None else group.rows] = bound
        divides = group.optimizer.preconditioner(group.own_state(), h)
        if divides is not None:
            preconditioner = torch.ones_like(theta) if preconditioner is None else preconditioner
            preconditioner[group.rows] = divides
    return Stability(largest, preconditioner) if known else None
