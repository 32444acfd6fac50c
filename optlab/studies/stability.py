"""The edge of stability of gradient descent and its momentum variants on a quadratic."""

from __future__ import annotations

from optlab.catalogue.optimizers.base import Optimizer


def momentum_of(optimizer: Optimizer) -> float:
    """Return the momentum α of an optimizer, 0 if it has none."""
    return float(getattr(optimizer, "momentum", 0.0))


def looks_ahead(optimizer: Optimizer) -> bool:
    """Return whether the gradient is evaluated at an interim point, as Nesterov's is."""
    return type(optimizer).point is not Optimizer.point


def edge_factor(optimizer: Optimizer) -> float:
    """Return the largest stable ελ: 2(1 + α), and less by a factor of 1 + 2α when looking ahead."""
    momentum = momentum_of(optimizer)
    factor = 2.0 * (1.0 + momentum)
    return factor / (1.0 + 2.0 * momentum) if looks_ahead(optimizer) else factor
