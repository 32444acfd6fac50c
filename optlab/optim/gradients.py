"""The gradients of parameters as a rule gets them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from optlab.catalogue.optimizers.base import Optimizer as Rule
from optlab.optim.arguments import common
from optlab.optim.layouts import flat_values


def gradient_of(
    rule: type[Rule], group: Mapping[str, Any], parameter: torch.Tensor
) -> torch.Tensor:
    """Return the gradient ``[1, n]`` of a parameter that has one, with sign and weight decay.

    Raises:
        RuntimeError: it is sparse.
    """
    gradient = parameter.grad
    refuse_sparse(rule, gradient)
    assert gradient is not None
    added = common(rule)
    g = (
        -flat_values(gradient)
        if "maximize" in added and group["maximize"]
        else flat_values(gradient)
    )
    decay = group["weight_decay"] if "weight_decay" in added else 0.0
    if isinstance(decay, float | int) and decay == 0:
        return g
    return g + decay * flat_values(parameter)


def refuse_sparse(rule: type[Rule], gradient: torch.Tensor | None) -> None:
    """Refuse a gradient ``[*shape]`` that is sparse.

    Raises:
        RuntimeError: it is.
    """
    if gradient is not None and gradient.layout is not torch.strided:
        raise RuntimeError(
            f"{rule.__name__} does not support sparse gradients; make the layer that has them"
            " dense."
        )
