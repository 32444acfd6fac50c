"""The edge of stability of gradient descent and its momentum variants on a quadratic."""

from __future__ import annotations

from optlab.catalogue.optimizers.base import Optimizer
from optlab.core.hyperparameters import Hyperparameters


def momentum_of(optimizer: Optimizer) -> float:
    """Return the momentum α of an optimizer, 0 if it has none."""
    return float(getattr(optimizer, "momentum", 0.0))


def looks_ahead(optimizer: Optimizer) -> bool:
    """Return whether the gradient is evaluated at an interim point, as Nesterov's is."""
    return type(optimizer).point is not Optimizer.point


def edge_factor(optimizer: Optimizer) -> float | None:
    """Return the largest stable ελ of a rule whose steps follow the gradient at its rate.

    Returns:
        None for any other rule, as one that scales each parameter or chooses its rate itself.
    """
    if not optimizer.along_gradient:
        return None
    factor = optimizer.largest_stable(Hyperparameters(**optimizer.values()))
    return None if factor is None else float(factor)
