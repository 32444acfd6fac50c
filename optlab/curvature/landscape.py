"""A landscape: the objective as a function of ``theta [R, P]`` alone, with its derivatives.

It is an objective on fixed data, or any differentiable function of R points: the same tools work on
networks and on surfaces of two variables.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator

from optlab.core.lazy import torch
from optlab.core.limits import CHUNK_VALUES
from optlab.objective.hessian import GraphHessian, Hessian, SumHessian, batch_hessian
from optlab.objective.objective import Objective

_KEPT_CHUNKS = 4
"""Chunks whose graphs are kept between Hessian products.

With more of them each product computes its graphs again.
"""


class Landscape(ABC):
    """A function of ``theta`` ``[R, P]`` in which the runs are independent."""

    @abstractmethod
    def value(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the values ``[R]`` at ``theta`` ``[R, P]``."""

    @abstractmethod
    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the values ``[R]`` and gradients ``[R, P]`` at ``theta`` ``[R, P]``."""

    @abstractmethod
    def hessian(self, theta: torch.Tensor) -> Hessian:
        """Return the Hessians at ``theta`` ``[R, P]``."""

    def symmetries(self, theta: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return directions ``[k, P]`` in which known symmetries leave ``theta`` ``[1, P]``."""
        return {}


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

    Many examples are evaluated in chunks. A model that normalizes over the batch uses the moments
    of each chunk, as it uses those of each batch in training.

    Args:
        x, y: one batch a run, ``[R, m, *inputs]``, or examples that all runs share, ``[n,
            *inputs]``.
        of: where runs share several data sets, that of each run, ``[R]``; x and y then are
            ``[D, n, …]``.
        hessians: what computes the Hessians of a batch.
    """

    def __init__(
        self,
        objective: Objective,
        x: torch.Tensor,
        y: torch.Tensor,
        of: torch.Tensor | None = None,
        hessians: Callable[
            [Objective, torch.Tensor, torch.Tensor, torch.Tensor], Hessian
        ] = batch_hessian,
    ) -> None:
        self._objective, self._hessians_of = objective, hessians
        self._of = of
        self._x, self._y = x, y
        self._shared = x.dim() == 1 + len(objective.shape.inputs)
        self._widest = max(
            [objective.shape.width, *(spec.shape[0] for spec in objective.layout.parameters)]
        )

    def value(self, theta: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(theta[:, 0])
        with torch.no_grad():
            for x, y, share in self._chunks(theta):
                total += share * self._objective.total(theta, x, y)
        return total

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total, gradient = torch.zeros_like(theta[:, 0]), torch.zeros_like(theta)
        for x, y, share in self._chunks(theta):
            values, gradients = self._objective.total_and_gradient(theta, x, y)
            # Weight decay is part of every chunk, and the shares add up to one.
            total += share * values
            gradient += share * gradients
        return total, gradient

    def hessian(self, theta: torch.Tensor) -> Hessian:
        chunks = list(self._chunks(theta))
        if len(chunks) == 1:
            return self._hessians_of(self._objective, theta, *chunks[0][:2])
        if len(chunks) <= _KEPT_CHUNKS:
            kept = list(self._hessians(theta))
            return SumHessian(theta, lambda: iter(kept))
        return SumHessian(theta, lambda: self._hessians(theta))

    def symmetries(self, theta: torch.Tensor) -> dict[str, torch.Tensor]:
        return self._objective.symmetries(theta, self._x)

    def _hessians(self, theta: torch.Tensor) -> Iterator[tuple[Hessian, float]]:
        for x, y, share in self._chunks(theta):
            yield batch_hessian(self._objective, theta, x, y), share

    def _chunks(self, theta: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor, float]]:
        """Yield batches ``[R, m, …]`` and their share of all examples."""
        runs = theta.shape[0]
        rows = max(1, CHUNK_VALUES // (runs * self._widest))
        axis = 0 if self._shared else 1
        total = self._x.shape[axis]
        if total <= rows:
            parts: Iterable[tuple[torch.Tensor, torch.Tensor]] = [(self._x, self._y)]
        else:
            parts = zip(self._x.split(rows, axis), self._y.split(rows, axis), strict=True)
        for x, y in parts:
            share = x.shape[axis] / total
            if self._of is not None:
                yield x[self._of], y[self._of], share
            elif self._shared:
                yield x.expand(runs, *x.shape), y.expand(runs, *y.shape), share
            else:
                yield x, y, share
