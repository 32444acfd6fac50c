"""The Hessian at one point, by products with it: ``v [R, P]`` → ``H v``, several vectors at once,
or as a matrix for small P.

Two ways lead to the same numbers. Autograd differentiates its own backward pass, for any model.
Where the model brings its second derivatives along
(:meth:`optlab.catalogue.models.base.Model.linearized`), a product is a few matrix products and
nothing else: on small networks several times as fast. ``gᵀHg`` needs no product at all, only the
second derivative of the loss along the line: a forward pass of second order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from optlab.catalogue.models.base import Linearized
from optlab.core.lazy import torch
from optlab.objective.objective import Objective

_COLUMNS = 64
"""Vectors that are multiplied at once: bounds the memory of the batched pass."""


class Hessian(ABC):
    """The Hessians ``[R, P, P]`` of R runs at ``theta`` ``[R, P]``.

    Attributes:
        products: products taken so far; a product costs about two gradients.
    """

    def __init__(self, theta: torch.Tensor) -> None:
        self.theta = theta.detach()
        self.products = 0

    def product(self, v: torch.Tensor) -> torch.Tensor:
        """``H v`` for ``v`` ``[R, P]``."""
        self.products += 1
        return self._product(v)

    def several(self, vectors: torch.Tensor) -> torch.Tensor:
        """``H v`` for ``k`` vectors of each run at once, ``[R, k, P]``."""
        self.products += vectors.shape[1]
        return torch.cat([self._several(part) for part in vectors.split(_COLUMNS, dim=1)], dim=1)

    def along(self, v: torch.Tensor) -> torch.Tensor:
        """``vᵀHv`` ``[R]``."""
        self.products += 1
        return (v * self._product(v)).sum(dim=1)

    def dense(self) -> torch.Tensor:
        """The matrices ``[R, P, P]``, rid of what rounding makes unsymmetric; for small P."""
        runs, parameters = self.theta.shape
        parts = []
        for begin in range(0, parameters, _COLUMNS):
            count = min(_COLUMNS, parameters - begin)
            units = self.theta.new_zeros(count, parameters)
            units[torch.arange(count), torch.arange(begin, begin + count)] = 1.0
            parts.append(self.several(units.expand(runs, count, parameters)))
        matrix = torch.cat(parts, dim=1)
        return 0.5 * (matrix + matrix.transpose(1, 2))

    @abstractmethod
    def _product(self, v: torch.Tensor) -> torch.Tensor: ...

    @abstractmethod
    def _several(self, vectors: torch.Tensor) -> torch.Tensor: ...


class GraphHessian(Hessian):
    """By autograd: the graph of the gradient is built once."""

    def __init__(
        self, function: Callable[[torch.Tensor], torch.Tensor], theta: torch.Tensor
    ) -> None:
        super().__init__(theta)
        self._leaf = self.theta.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(function(self._leaf).sum(), self._leaf, create_graph=True)
        # Where the function is linear its gradient is a constant and has no graph: its Hessian is
        # zero, not an error.
        self._gradient = gradient if gradient.requires_grad else gradient + 0.0 * self._leaf

    def _product(self, v: torch.Tensor) -> torch.Tensor:
        (found,) = torch.autograd.grad(
            self._gradient, self._leaf, v, retain_graph=True, materialize_grads=True
        )
        return found

    def _several(self, vectors: torch.Tensor) -> torch.Tensor:
        (found,) = torch.autograd.grad(
            self._gradient,
            self._leaf,
            vectors.transpose(0, 1),
            retain_graph=True,
            is_grads_batched=True,
            materialize_grads=True,
        )
        return found.transpose(0, 1)


class WrittenOutHessian(Hessian):
    """By the second derivatives that the model brings along.

    Args:
        x, y: ``[R, m, …]``. found, delta: what :func:`linearized` found there.
    """

    def __init__(
        self,
        objective: Objective,
        theta: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        found: Linearized,
        delta: torch.Tensor,
    ) -> None:
        super().__init__(theta)
        self._objective, self._x, self._y, self._found, self._delta = objective, x, y, found, delta
        self._differentiated = False

    def _product(self, v: torch.Tensor) -> torch.Tensor:
        objective = self._objective
        with torch.no_grad():
            if not self._differentiated:
                # Not before it is needed: a second-order forward pass does without.
                self._found.differentiate(self._delta)
                self._differentiated = True
            found = torch.empty_like(self.theta)
            split = objective.layout.split
            self._found.product(split(v), self._bend, split(found))
            decay = objective.decay_product(v)
            return found if decay is None else found.add_(decay)

    def along(self, v: torch.Tensor) -> torch.Tensor:
        """``vᵀHv`` ``[R]``, by a second-order forward pass."""
        self.products += 1
        objective = self._objective
        with torch.no_grad():
            first, second = self._found.second_order(objective.layout.split(v))
            found = (first * self._bend(first)).add_(self._delta * second).sum(dim=(1, 2))
            decay = objective.decay_product(v)
            return found if decay is None else found + (v * decay).sum(dim=1)

    def _several(self, vectors: torch.Tensor) -> torch.Tensor:
        # As a population of R · k runs.
        runs, count, parameters = vectors.shape
        theta, x, y = (
            t.unsqueeze(1).expand(runs, count, *t.shape[1:]).flatten(0, 1)
            for t in (self.theta, self._x, self._y)
        )
        found = linearized(self._objective, theta, x, y)
        if found is None:
            raise TypeError(
                f"{self._objective.model.label} wrote its second derivatives out for one run and not for several"
            )
        return (
            WrittenOutHessian(self._objective, theta, x, y, *found)
            ._product(vectors.flatten(0, 1))
            .view(runs, count, parameters)
        )

    def _bend(self, u: torch.Tensor) -> torch.Tensor:
        return self._objective.loss.fisher_product(self._found.outputs, u).div_(self._x.shape[1])


class SumHessian(Hessian):
    """The weighted mean over chunks of examples.

    Args:
        parts: makes the Hessian of each chunk, with its share of the examples.
    """

    def __init__(
        self, theta: torch.Tensor, parts: Callable[[], Iterator[tuple[Hessian, float]]]
    ) -> None:
        super().__init__(theta)
        self._parts = parts

    def _product(self, v: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(v)
        for part, share in self._parts():
            total += share * part.product(v)
        return total

    def along(self, v: torch.Tensor) -> torch.Tensor:
        """``vᵀHv`` ``[R]``."""
        self.products += 1
        total = torch.zeros_like(v[:, 0])
        for part, share in self._parts():
            total += share * part.along(v)
        return total

    def _several(self, vectors: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(vectors)
        for part, share in self._parts():
            total += share * part.several(vectors)
        return total


def batch_hessian(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> Hessian:
    """Return the Hessians of the objective on batches ``x``, ``y`` ``[R, m, …]`` at ``theta``
    ``[R, P]``: written out where the model has second derivatives, else by autograd.
    """
    at_point = linearized(objective, theta, x, y)
    if at_point is not None:
        return WrittenOutHessian(objective, theta, x, y, *at_point)
    return GraphHessian(lambda points: objective.total(points, x, y), theta)


def linearized(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> tuple[Linearized, torch.Tensor] | None:
    """The model at ``theta`` with its second derivatives written out, and the gradient of the loss
    by its outputs ``[R, m, outputs]``.

    None where model or loss leaves them to autograd.
    """
    if not objective.loss.canonical:
        return None
    with torch.no_grad():
        found = objective.model.linearized(objective.layout.split(theta.detach()), x)
        if found is None:
            return None
        own_loss = objective.loss.with_gradient(found.outputs, objective.model.targets(x, y))
        return None if own_loss is None else (found, own_loss[1])
