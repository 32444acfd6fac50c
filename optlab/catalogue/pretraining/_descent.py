"""Minibatch descent for one layer: momentum as in the notes, each epoch in random order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from optlab.catalogue.pretraining.base import Greedy, Layer
from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch

Gradient = Callable[[list["torch.Tensor"], "torch.Tensor"], Sequence["torch.Tensor"]]
"""Tensors and the indices of a batch's examples ``[m]`` → gradient with respect to each tensor."""


def descend(
    start: Sequence[torch.Tensor], gradient: Gradient, plan: Greedy, layer: Layer
) -> list[torch.Tensor]:
    """Return the tensors after descent by ``v ← αv − εg; θ ← θ + v``.

    Args:
        start: initial tensors, of any shape.
        gradient: gradient on a batch.
        plan: learning rate, momentum, batch size and number of epochs.
        layer: the layer; its examples ``[n, in]`` determine the batches.

    Raises:
        InvalidInput: a value is no longer finite.
    """
    n = len(layer.x)
    size = min(plan.size or n, n)
    order = layer.generator("order")
    tensors = [tensor.detach().clone() for tensor in start]
    velocities = [torch.zeros_like(tensor) for tensor in tensors]
    for _ in range(plan.epochs):
        for rows in torch.randperm(n, generator=order).split(size):
            gradients = gradient(tensors, rows)
            velocities = [
                plan.momentum * v - plan.lr * g for v, g in zip(velocities, gradients, strict=True)
            ]
            tensors = [tensor + v for tensor, v in zip(tensors, velocities, strict=True)]
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
            raise InvalidInput(
                f"Pretraining diverged in hidden layer {layer.number}: its weights are no longer"
                f" finite; make pretraining.lr ({plan.lr:g}) smaller.",
                "pretraining.lr",
            )
    return tensors


def by_autograd(cost: Callable[[list[torch.Tensor], torch.Tensor], torch.Tensor]) -> Gradient:
    """Return the gradient of a scalar cost of tensors and the indices ``[m]`` of a batch."""

    def gradient(tensors: list[torch.Tensor], rows: torch.Tensor) -> Sequence[torch.Tensor]:
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        return torch.autograd.grad(cost(leaves, rows), leaves)

    return gradient
