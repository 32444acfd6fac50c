"""The oracle: what a rule may ask of the objective on one batch when a single gradient is not enough.

Line searches ask for values at several points, second-order rules for products with the Hessian or with the Fisher matrix. Each graph is built once a point; a
product then costs about two gradients and memory that grows with P.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optlab.engine.objective import Objective
from optlab.engine.seeding import generator
from optlab.lazy import torch as _torch
from optlab.numerics.conjugate_gradients import Product

if TYPE_CHECKING:
    import torch

_COLUMNS = 64
"""Columns of a Hessian that are computed at once: bounds the memory of the batched backward pass."""


class Oracle:
    """The objective (with its weight decay) of R runs on their batches.

    Args:
        x, y: batches with a leading run axis. seeds: of the runs. step: number of this step (0, 1, …), for draws.
    """

    def __init__(self, objective: Objective, x: torch.Tensor, y: torch.Tensor, seeds: Sequence[int], step: int) -> None:
        self._objective = objective
        self._x, self._y = x, y
        self._seeds = list(seeds)
        self._step = step
        self._gradients = [0] * len(self._seeds)

    @property
    def gradients(self) -> Sequence[int]:
        """Evaluations of the gradient so far, one number a run; a product counts as two."""
        return self._gradients

    def only(self, run: int) -> Oracle:
        """The oracle of one run alone."""
        here = slice(run, run + 1)
        return Oracle(self._objective, self._x[here], self._y[here], self._seeds[here], self._step)

    def generator(self, run: int, purpose: str) -> torch.Generator:
        """A generator for this step of one run: the same draws whenever the step is repeated."""
        return generator(self._seeds[run], f"{purpose}/{self._step}")

    def loss(self, theta: torch.Tensor) -> torch.Tensor:
        """The objective ``[R]`` at ``theta`` ``[R, P]``."""
        with _torch.no_grad():
            return self._value(theta)

    def gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The objective ``[R]`` and its gradient ``[R, P]`` at ``theta``."""
        self._count(1)
        losses, gradient = self._objective.value_and_gradient(theta, self._x, self._y)
        penalty = self._objective.penalty(theta)
        return losses if penalty is None else losses + penalty, gradient

    def hessian_product(self, theta: torch.Tensor) -> Product:
        """``v [R, P]`` → ``H v``, exactly, with the Hessian at ``theta``."""
        leaf, gradient = self._differentiable(theta)

        def product(v: torch.Tensor) -> torch.Tensor:
            self._count(2)
            (found,) = _torch.autograd.grad(gradient, leaf, v, retain_graph=True, materialize_grads=True)
            return found

        return product

    def hessian(self, theta: torch.Tensor) -> torch.Tensor:
        """The Hessians ``[R, P, P]`` at ``theta``; for small P."""
        runs, parameters = theta.shape
        leaf, gradient = self._differentiable(theta)
        rows: list[torch.Tensor] = []
        for begin in range(0, parameters, _COLUMNS):
            count = min(_COLUMNS, parameters - begin)
            units = _torch.zeros(count, runs, parameters, dtype=theta.dtype, device=theta.device)
            units[_torch.arange(count), :, _torch.arange(begin, begin + count)] = 1.0
            (found,) = _torch.autograd.grad(gradient, leaf, units, retain_graph=True, is_grads_batched=True, materialize_grads=True)
            rows.append(found)
        self._count(2 * parameters)
        matrix = _torch.cat(rows).transpose(0, 1)
        return 0.5 * (matrix + matrix.transpose(1, 2))

    def fisher_product(self, theta: torch.Tensor) -> Product:
        """``v [R, P]`` → ``F v`` with the Fisher matrix of the model's own predictions on the batch (weight decay is no part of it).

        ``F = mean Jᵀ S J``: J the Jacobian of the outputs, S the Fisher matrix of the predicted distribution. For these losses it is also the Gauss–Newton
        matrix.
        """
        leaf = theta.detach().requires_grad_()
        outputs = self._objective.outputs(leaf, self._x)
        probe = _torch.zeros_like(outputs, requires_grad=True)
        (pulled,) = _torch.autograd.grad(outputs, leaf, probe, create_graph=True)
        predicted = outputs.detach()
        m = outputs.shape[1]

        def product(v: torch.Tensor) -> torch.Tensor:
            self._count(2)
            # Jᵀu is linear in u, so its derivative by u along v is Jv.
            (pushed,) = _torch.autograd.grad(pulled, probe, v, retain_graph=True)
            weighted = self._objective.loss.fisher_product(predicted, pushed) / m
            (found,) = _torch.autograd.grad(outputs, leaf, weighted, retain_graph=True)
            return found

        return product

    def _differentiable(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self._count(1)
        leaf = theta.detach().requires_grad_()
        (gradient,) = _torch.autograd.grad(self._value(leaf).sum(), leaf, create_graph=True)
        return leaf, gradient

    def _value(self, theta: torch.Tensor) -> torch.Tensor:
        losses = self._objective.losses(theta, self._x, self._y)
        penalty = self._objective.penalty(theta)
        return losses if penalty is None else losses + penalty

    def _count(self, number: int) -> None:
        self._gradients = [count + number for count in self._gradients]


def matrix(product: Product, like: torch.Tensor) -> torch.Tensor:
    """The matrices ``[R, P, P]`` behind a product, column by column; for small P. ``like``: ``[R, P]``."""
    columns = []
    for place in range(like.shape[1]):
        unit = _torch.zeros_like(like)
        unit[:, place] = 1.0
        columns.append(product(unit))
    return _torch.stack(columns, dim=2)


