"""What broke: the first tensor that was not finite, found by taking the fatal step once more with a
trace.
"""

from __future__ import annotations

from optlab.catalogue.models.base import ForwardContext
from optlab.core.lazy import torch
from optlab.objective.objective import Objective


def first_broken(
    objective: Objective, point: torch.Tensor, x: torch.Tensor, y: torch.Tensor, after: torch.Tensor
) -> tuple[str, str]:
    """Name of the first tensor that is not finite, and what it is, in words.

    In the order of computation: outputs of the layers, loss, gradient, parameters after the step.

    Args:
        point: where the fatal step took its gradient, ``[1, P]``. x, y: its batch, with a run axis
            of 1. after: parameters after it, ``[1, P]``.
    """
    found: list[str] = []

    def trace(name: str, value: torch.Tensor) -> None:
        if not found and not bool(torch.isfinite(value).all()):
            found.append(name)

    for name, part in objective.layout.named(point).items():
        if not bool(torch.isfinite(part).all()):
            return name, "parameters where the gradient was to be taken"
    with torch.no_grad():
        loss = objective.losses(point, x, y, ForwardContext(training=True, trace=trace))
    if found:
        return found[0], "outputs of this layer"
    if not bool(torch.isfinite(loss).all()):
        return "loss", "loss on the batch"
    _, gradient = objective.value_and_gradient(point, x, y)
    for name, part in objective.layout.named(gradient).items():
        if not bool(torch.isfinite(part).all()):
            return f"gradient of {name}", "gradient of this tensor"
    for name, part in objective.layout.named(after).items():
        if not bool(torch.isfinite(part).all()):
            return name, "parameters after the step"
    return "optimizer state", "state of the update rule"
