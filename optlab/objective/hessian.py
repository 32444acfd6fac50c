"""The Hessian at one point: products ``v [R, P]`` → ``H v``, or the matrix for small P.

There are two implementations with the same numbers. Autograd differentiates its own backward pass,
for any model. Where the model has second derivatives of its own
(:meth:`optlab.catalogue.models.base.Model.linearized`), a product is a few matrix products: on
small networks two to four times as fast. ``gᵀHg`` needs no product at all, only the second
derivative of the loss along the line: a second-order forward pass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from optlab.catalogue.models.capabilities import Linearized, OutputHessian
from optlab.core.lazy import torch
from optlab.objective import curvature_check
from optlab.objective.objective import Objective
from optlab.objective.second_derivatives import double_backward, explained_failure

_COLUMNS = 64
"""Vectors that are multiplied at once: bounds the memory of the batched pass."""


class Hessian(ABC):
    """The Hessians ``[R, P, P]`` of R runs at ``theta`` ``[R, P]``.

    Attributes:
        products: products computed so far; a product costs about two gradients.
    """

    def __init__(self, theta: torch.Tensor) -> None:
        self.theta = theta.detach()
        self.products = 0

    def product(self, v: torch.Tensor) -> torch.Tensor:
        """Return ``H v`` for ``v`` ``[R, P]``."""
        self.products += 1
        return self._product(v)

    def several(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return ``H v`` for ``k`` vectors of each run at once, ``[R, k, P]``."""
        self.products += vectors.shape[1]
        return torch.cat([self._several(part) for part in vectors.split(_COLUMNS, dim=1)], dim=1)

    def along(self, v: torch.Tensor) -> torch.Tensor:
        """Return ``vᵀHv`` ``[R]`` for ``v`` ``[R, P]``."""
        self.products += 1
        return (v * self._product(v)).sum(dim=1)

    def dense(self) -> torch.Tensor:
        """Return the matrices ``[R, P, P]``, symmetric to the last bit; for small P."""
        runs, parameters = self.theta.shape
        parts = []
        for begin in range(0, parameters, _COLUMNS):
            count = min(_COLUMNS, parameters - begin)
            units = self.theta.new_zeros(count, parameters)
            units.diagonal(begin).fill_(1.0)
            parts.append(self.several(units.expand(runs, count, parameters)))
        matrix = torch.cat(parts, dim=1)
        return 0.5 * (matrix + matrix.transpose(1, 2))

    @abstractmethod
    def _product(self, v: torch.Tensor) -> torch.Tensor: ...

    @abstractmethod
    def _several(self, vectors: torch.Tensor) -> torch.Tensor: ...


class GraphHessian(Hessian):
    """The Hessian by autograd; the graph of the gradient is built once.

    Args:
        function: maps ``theta`` ``[R, P]`` to values ``[R]``.
        theta: ``[R, P]``.
        model: name of the model that errors mention; "" for a function that is no model.

    Raises:
        RunFailed: an operation has no second derivative; the products raise it, too.
    """

    def __init__(
        self,
        function: Callable[[torch.Tensor], torch.Tensor],
        theta: torch.Tensor,
        model: str = "",
    ) -> None:
        super().__init__(theta)
        self._model = model
        self._leaf = self.theta.clone().requires_grad_()
        with double_backward():
            total = function(self._leaf).sum()
            with explained_failure(model):
                (gradient,) = torch.autograd.grad(total, self._leaf, create_graph=True)
        # Where the function is linear its gradient is a constant and has no graph: its Hessian is
        # zero, not an error.
        self._gradient = gradient if gradient.requires_grad else gradient + 0.0 * self._leaf

    def _product(self, v: torch.Tensor) -> torch.Tensor:
        with explained_failure(self._model):
            (result,) = torch.autograd.grad(
                self._gradient, self._leaf, v, retain_graph=True, materialize_grads=True
            )
        return result

    def _several(self, vectors: torch.Tensor) -> torch.Tensor:
        with explained_failure(self._model):
            (result,) = torch.autograd.grad(
                self._gradient,
                self._leaf,
                vectors.transpose(0, 1),
                retain_graph=True,
                is_grads_batched=True,
                materialize_grads=True,
            )
        return result.transpose(0, 1)


class WrittenOutHessian(Hessian):
    """The Hessian by the second derivatives that the model has written out.

    Args:
        theta: ``[R, P]``. x, y: ``[R, m, …]``.
        at_point, delta: the result of :func:`linearized` there.
    """

    def __init__(
        self,
        objective: Objective,
        theta: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        at_point: Linearized,
        delta: torch.Tensor,
    ) -> None:
        super().__init__(theta)
        self._objective, self._x, self._y = objective, x, y
        self._at_point, self._delta = at_point, delta
        self._output_matrices: OutputHessian | None = None

    def differentiate(self) -> None:
        """Compute what all products need, unless it has been.

        A second-order forward pass does without.
        """
        if self._output_matrices is None:
            with torch.no_grad():
                self._at_point.differentiate(self._delta)
                self._output_matrices = self._objective.loss.fisher_products(self._at_point.outputs)

    def product_of_loss(self, v: torch.Tensor) -> torch.Tensor:
        """Return the Hessian of the loss without weight decay times ``v``, ``[R, P]``."""
        self.differentiate()
        matrices, m = self._output_matrices, self._x.shape[1]
        assert matrices is not None, "they have just been computed"
        with torch.no_grad():
            result = torch.empty_like(self.theta)
            split = self._objective.layout.split
            self._at_point.product(split(v), lambda u: matrices(u).div_(m), split(result))
        return result

    def _product(self, v: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            result, decay = self.product_of_loss(v), self._objective.decay_product(v)
            return result if decay is None else result.add_(decay)

    def along(self, v: torch.Tensor) -> torch.Tensor:
        """Return ``vᵀHv`` ``[R]``, by a second-order forward pass."""
        self.products += 1
        objective, m = self._objective, self._x.shape[1]
        with torch.no_grad():
            first, second = self._at_point.second_order(objective.layout.split(v))
            curvature = (
                (first * objective.loss.fisher_product(self._at_point.outputs, first).div_(m))
                .add_(self._delta * second)
                .sum(dim=(1, 2))
            )
            decay = objective.decay_product(v)
            return curvature if decay is None else curvature + (v * decay).sum(dim=1)

    def _several(self, vectors: torch.Tensor) -> torch.Tensor:
        # As a population of R · k runs.
        runs, count, parameters = vectors.shape
        theta, x, y = (
            t.unsqueeze(1).expand(runs, count, *t.shape[1:]).flatten(0, 1)
            for t in (self.theta, self._x, self._y)
        )
        objective = self._objective.repeated(count)
        at_points = linearized(objective, theta, x, y)
        if at_points is None:
            raise TypeError(
                f"{self._objective.model.label} has written-out second derivatives for one run but "
                "not for several"
            )
        return (
            WrittenOutHessian(objective, theta, x, y, *at_points)
            ._product(vectors.flatten(0, 1))
            .view(runs, count, parameters)
        )


class SumHessian(Hessian):
    """The weighted mean of Hessians over chunks of examples.

    Args:
        theta: ``[R, P]``.
        parts: yields the Hessian of each chunk, with its share of the examples.
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
        """Return ``vᵀHv`` ``[R]``."""
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
    """Return the Hessians of the objective on a batch at ``theta`` ``[R, P]``.

    They are written out where model and loss have second derivatives, else by autograd.

    Args:
        x, y: ``[R, m, …]``.
    """
    at_point = linearized(objective, theta, x, y)
    if at_point is not None:
        return WrittenOutHessian(objective, theta, x, y, *at_point)
    return graph_hessian(objective, theta, x, y)


def graph_hessian(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> Hessian:
    """Return the Hessians of the objective on a batch at ``theta`` ``[R, P]``, by autograd.

    Args:
        x, y: ``[R, m, …]``.

    Raises:
        RunFailed: the model is the user's and its second derivatives are missing or wrong.
    """
    curvature_check.check(objective, theta, x, y)
    return GraphHessian(lambda points: objective.total(points, x, y), theta, objective.model.name)


def linearized(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> tuple[Linearized, torch.Tensor] | None:
    """Return the model at ``theta`` ``[R, P]`` with its second derivatives written out.

    Returns:
        The linearized model, and the gradient of the loss by its outputs ``[R, m, outputs]``; None
            where model or loss leaves them to autograd.
    """
    if not objective.loss.canonical or objective.draws:
        return None
    with torch.no_grad():
        at_point = objective.model.linearized(objective.layout.split(theta.detach()), x)
        if at_point is None:
            return None
        own_loss = objective.loss.with_gradient(at_point.outputs, objective.model.targets(x, y))
        return None if own_loss is None else (at_point, own_loss[1])
