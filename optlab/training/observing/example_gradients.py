"""Gradients of single examples: their norms, and their mean.

Where the model is a chain of affine layers, an example's gradient by a layer's weights is the outer
product of its deltas and its inputs, so its norm is a product of two norms and the gradient itself
is never formed. Every other model has a run axis: each example of the batch becomes the batch of
its own run, as ``vmap`` would do. Only where the examples of a batch depend on each other, as under
batch normalization, is there a backward pass for each.
"""

from __future__ import annotations

from optlab.catalogue.models.capabilities import Layers
from optlab.core.lazy import torch
from optlab.objective.hessian import linearized
from optlab.objective.objective import Objective

_VALUES = 16_000_000
"""Numbers that the gradients of single examples may hold at once."""


def example_gradients(
    objective: Objective,
    theta: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    gradient: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return squared norms ``[R, m]`` of the examples' gradients, and their mean ``[R, P]``.

    Weight decay is not included.

    Args:
        theta: ``[R, P]``. x, y: ``[R, m, …]``.
        gradient: of the objective on this batch, weight decay included, where it is known.
    """
    if objective.model.normalizes():
        return _one_by_one(objective, theta, x, y)
    squares = _from_activations(objective, theta, x, y)
    if squares is None:
        squares = _as_runs(objective, theta, x, y)
    if gradient is None:
        gradient = objective.value_and_gradient(theta, x, y)[1]
    decay = objective.decay_gradient(theta)
    return squares, gradient if decay is None else gradient - decay


def _from_activations(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor | None:
    """Return the squared norms; None where the model is no chain of affine layers."""
    if objective.kept is not None and objective.kept[0] is theta:
        # As the step itself computed them.
        return _norms(objective.kept[1]).mul_(x.shape[1] ** 2)
    at_point = linearized(objective, theta, x, y)
    if at_point is None:
        return None
    layers, delta = at_point
    with torch.no_grad():
        layers.differentiate(delta)
        # The deltas are those of the mean loss, each example's 1/m of its own.
        return layers.squared_norms().mul_(x.shape[1] ** 2)


def _norms(layers: Layers) -> torch.Tensor:
    """Return squared norms ``[R, m]`` of each example's part of the gradients of layers.

    All layers have a bias.
    """
    total: torch.Tensor | None = None
    for h, delta in layers:
        squares = h.square().sum(dim=2).add_(1.0).mul_(delta.square().sum(dim=2))
        total = squares if total is None else total.add_(squares)
    assert total is not None, "there is a layer"
    return total


def _as_runs(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """Return the squared norms, with each example as the batch of a run, in chunks."""
    runs = len(theta)
    decay = objective.decay_gradient(theta)
    squares: list[torch.Tensor] = []
    rows = max(1, _VALUES // theta.numel())
    for some_x, some_y in zip(x.split(rows, 1), y.split(rows, 1), strict=True):
        count = some_x.shape[1]
        leaf = theta.detach().unsqueeze(1).expand(runs, count, -1).flatten(0, 1).requires_grad_()
        total = objective.repeated(count).total(
            leaf, some_x.flatten(0, 1).unsqueeze(1), some_y.flatten(0, 1).unsqueeze(1)
        )
        (gradients,) = torch.autograd.grad(total.sum(), leaf)
        gradients = gradients.view(runs, count, -1)
        squares.append(
            (gradients if decay is None else gradients - decay.unsqueeze(1)).square().sum(dim=2)
        )
    return torch.cat(squares, dim=1)


def _one_by_one(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the squared norms and the mean by one backward pass for each example.

    Auxiliary heads are not included.
    """
    leaf = theta.detach().requires_grad_()
    losses = objective.per_example(leaf, x, y)
    squares: list[torch.Tensor] = []
    total = torch.zeros_like(theta)
    for example in losses.unbind(dim=1):
        (gradient,) = torch.autograd.grad(example.sum(), leaf, retain_graph=True)
        squares.append(gradient.square().sum(dim=1))
        total += gradient
    return torch.stack(squares, dim=1), total / losses.shape[1]
