"""Scales of recurrent weights, measured on sequences.

The pre-activations of a gate are the sum of the term ``W x[t]`` of the inputs and the term
``U h[t-1]`` of the state before. The first has its spread once W is divided by it. The scale of U
changes the states that it multiplies, so it is found by iteration.
"""

from __future__ import annotations

import math

from optlab.catalogue.initializers.base import InitializationContext
from optlab.core.layout import Layout, Parameter
from optlab.core.lazy import torch

_ITERATIONS = 200
_CLOSE = 1e-9
"""Relative error of a spread at which the iteration ends."""
_LARGEST_STEP = 1.0
"""Largest change of the logarithm of a scale in an iteration: states of rectifiers may explode."""


def rescale(
    theta: torch.Tensor,
    layout: Layout,
    rows: torch.Tensor,
    context: InitializationContext,
    spread: float,
) -> None:
    """Rescale the weights of ``theta`` ``[P]`` that act along sequences, in place, gate by gate.

    Both terms of the pre-activations of each gate then have the standard deviation ``spread / √2``
    over its units, the minibatch and the steps; together they have about ``spread``, as at the
    start they hardly depend on each other. A gate whose term does not vary keeps its draw.

    Args:
        rows: indices ``[m]`` of the minibatch.
    """
    views = layout.named(theta.unsqueeze(0))
    for parameter in layout.parameters:
        if parameter.along == "inputs":
            weight = views[parameter.name][0]
            found = _spreads(context.x[rows], weight, parameter)
            _multiply(weight, parameter, _factors(found, spread))
    for parameter in layout.parameters:
        if parameter.along == "states":
            _rescale_states(theta, views[parameter.name][0], parameter, rows, context, spread)


def _rescale_states(
    theta: torch.Tensor,
    weight: torch.Tensor,
    parameter: Parameter,
    rows: torch.Tensor,
    context: InitializationContext,
    spread: float,
) -> None:
    share, least = 1.0, math.inf
    for _ in range(_ITERATIONS):
        factors = _factors(_spreads(_states(theta, rows, context), weight, parameter), spread)
        change = factors.log().clamp(-_LARGEST_STEP, _LARGEST_STEP)
        error = float(change.abs().max())
        if error <= _CLOSE:
            return
        # Where the states depend strongly on the scale, a whole step goes too far and back.
        share = share if error < least else 0.5 * share
        least = min(least, error)
        _multiply(weight, parameter, (share * change).exp())


def _states(
    theta: torch.Tensor, rows: torch.Tensor, context: InitializationContext
) -> torch.Tensor:
    """Return the states before the second and later steps, ``[m, steps - 1, units]``."""
    traced = context.traced(theta, rows)
    states = [value for name, value in traced.items() if name.startswith("state.")]
    return torch.stack(states[:-1], dim=1) if len(states) > 1 else states[0].new_zeros(1, 1, 1)


def _spreads(values: torch.Tensor, weight: torch.Tensor, parameter: Parameter) -> torch.Tensor:
    """Return the standard deviation ``[stacked]`` of the product of values with each matrix."""
    if values.shape[-1] != weight.shape[1]:
        return weight.new_zeros(parameter.stacked)
    products = values.to(weight.dtype) @ weight.T
    gates = products.flatten(0, -2).unflatten(1, (parameter.stacked, -1))
    spreads: torch.Tensor = gates.std((0, 2), correction=0)
    return spreads


def _factors(spreads: torch.Tensor, spread: float) -> torch.Tensor:
    """Return what each spread has to be multiplied by; 1 where there is none."""
    factors = spread / math.sqrt(2.0) / spreads
    return torch.where((spreads > 0.0) & factors.isfinite(), factors, torch.ones_like(factors))


def _multiply(weight: torch.Tensor, parameter: Parameter, factors: torch.Tensor) -> None:
    weight.unflatten(0, (parameter.stacked, -1)).mul_(factors[:, None, None])
