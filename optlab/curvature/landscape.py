"""A landscape: the objective as a function of ``theta [R, P]`` alone, with value, gradient and
Hessian at any point.

It is an objective on fixed data, or any differentiable function of R points: networks and surfaces
of two variables go through the same instruments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from optlab.core.lazy import torch
from optlab.core.limits import CHUNK_VALUES
from optlab.curvature.hessian import (
    GraphHessian,
    Hessian,
    SumHessian,
    WrittenOutHessian,
    linearized,
)
from optlab.objective.objective import Objective

_KEPT_CHUNKS = 4
"""Chunks whose graphs are kept between Hessian products; with more of them each product computes
its graphs again.
"""


class Landscape(ABC):
    """A function of ``theta`` ``[R, P]`` whose runs do not touch each other."""

    @abstractmethod
    def value(self, theta: torch.Tensor) -> torch.Tensor:
        """Values ``[R]``."""

    @abstractmethod
    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Values ``[R]`` and gradients ``[R, P]``."""

    @abstractmethod
    def hessian(self, theta: torch.Tensor) -> Hessian:
        """The Hessians at ``theta``."""


class FunctionLandscape(Landscape):
    """Any twice differentiable function of torch tensors, ``[R, P]`` → ``[R]``."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._function = function

    def value(self, theta: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self._function(theta)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = theta.detach().requires_grad_()
        values = self._function(leaf)
        (gradient,) = torch.autograd.grad(values.sum(), leaf)
        return values.detach(), gradient

    def hessian(self, theta: torch.Tensor) -> Hessian:
        return GraphHessian(self._function, theta)


class ObjectiveLandscape(Landscape):
    """The objective, with weight decay and auxiliary heads, on fixed examples.

    They are taken in chunks where they are many. A model that normalizes over the batch takes the
    moments of each chunk, as it does of each batch in training.

    Args:
        x, y: one batch a run, ``[R, m, *inputs]``, or examples that all runs share, ``[n,
            *inputs]``.
    """

    def __init__(self, objective: Objective, x: torch.Tensor, y: torch.Tensor) -> None:
        self._objective = objective
        self._x, self._y = x, y
        self._shared = x.dim() == 1 + len(objective.shape.inputs)

    def value(self, theta: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(theta[:, 0])
        with torch.no_grad():
            for x, y, share in self._chunks(theta):
                total += share * self._of(theta, x, y)
        return total

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total, gradient = torch.zeros_like(theta[:, 0]), torch.zeros_like(theta)
        for x, y, share in self._chunks(theta):
            losses, here = self._objective.value_and_gradient(theta, x, y)
            added = self._objective.added(theta, x, y)
            # What does not depend on the examples is part of every chunk, and the shares add up to
            # one.
            total += share * (losses if added is None else losses + added)
            gradient += share * here
        return total, gradient

    def hessian(self, theta: torch.Tensor) -> Hessian:
        chunks = list(self._chunks(theta))
        if len(chunks) == 1:
            return self._part(theta, *chunks[0][:2])
        if len(chunks) <= _KEPT_CHUNKS:
            kept = [(self._part(theta, x, y), share) for x, y, share in chunks]
            return SumHessian(theta, lambda: iter(kept))
        return SumHessian(
            theta, lambda: ((self._part(theta, x, y), share) for x, y, share in self._chunks(theta))
        )

    def _part(self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> Hessian:
        found = linearized(self._objective, theta, x, y)
        if found is not None:
            return WrittenOutHessian(self._objective, theta, x, y, *found)
        return GraphHessian(lambda points: self._of(points, x, y), theta)

    def _of(self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        losses, added = self._objective.terms(theta, x, y)
        return losses if added is None else losses + added

    def _chunks(self, theta: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor, float]]:
        """Batches ``[R, m, …]`` and their share of all examples."""
        runs = theta.shape[0]
        widest = max(
            [
                self._objective.shape.width,
                *(spec.shape[0] for spec in self._objective.layout.parameters),
            ]
        )
        rows = max(1, CHUNK_VALUES // (runs * widest))
        axis = 0 if self._shared else 1
        total = self._x.shape[axis]
        for x, y in zip(self._x.split(rows, axis), self._y.split(rows, axis), strict=True):
            share = x.shape[axis] / total
            if self._shared:
                yield x.expand(runs, *x.shape), y.expand(runs, *y.shape), share
            else:
                yield x, y, share
