"""Minibatch descent of one layer: the notes' momentum, every epoch in a random order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from optlab.catalogue.pretraining.base import Greedy, Layer
from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch

Gradient = Callable[[list["torch.Tensor"], "torch.Tensor"], Sequence["torch.Tensor"]]
"""Tensors and the numbers of a batch's examples ``[m]`` → a gradient by each tensor."""


def descend(
    start: Sequence[torch.Tensor], gradient: Gradient, plan: Greedy, layer: Layer
) -> list[torch.Tensor]:
    """The tensors after descent: ``v ← αv − εg; θ ← θ + v``.

    Raises:
        InvalidInput: a value ceased to be finite.
    """
    n = len(layer.x)
    size = min(plan.size or n, n)
    order = layer.generator("order")
    tensors = [tensor.detach().clone() for tensor in start]
    velocities = [torch.zeros_like(tensor) for tensor in tensors]
    for _ in range(plan.epochs):
        for rows in torch.randperm(n, generator=order).split(size):
            found = gradient(tensors, rows)
            velocities = [
                plan.momentum * v - plan.lr * g for v, g in zip(velocities, found, strict=True)
            ]
            tensors = [tensor + v for tensor, v in zip(tensors, velocities, strict=True)]
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
            raise InvalidInput(
                f"Pretraining broke in hidden layer {layer.number}: its weights are not finite any more; make pretraining.lr ({plan.lr:g}) smaller.",
                "pretraining.lr",
            )
    return tensors


def by_autograd(cost: Callable[[list[torch.Tensor], torch.Tensor], torch.Tensor]) -> Gradient:
    """The gradient of a cost of tensors and a batch's examples."""

    def gradient(tensors: list[torch.Tensor], rows: torch.Tensor) -> Sequence[torch.Tensor]:
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        return torch.autograd.grad(cost(leaves, rows), leaves)

    return gradient
