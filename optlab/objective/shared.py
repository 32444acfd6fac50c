"""The objective of a batch that several ranks share: each evaluates its rows, and sums are summed.

The results are those of the whole batch, to rounding: what a rank finds on its rows counts as often
as it has rows, the ranks' sums are added, and the total is divided by the size of the batch. So
batches may divide unevenly, and a rank may have no rows at all. Weight decay is part of each rank's
objective, and the shares add up to one. All ranks get the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from optlab.catalogue.losses.base import Loss
from optlab.catalogue.models.base import ForwardContext
from optlab.catalogue.models.capabilities import Uniforms
from optlab.core.data import DataShape
from optlab.core.lazy import torch
from optlab.numerics import kronecker
from optlab.numerics.conjugate_gradients import Product
from optlab.numerics.kronecker import LayerFactors
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.objective import Objective, OwnLoss
from optlab.objective.ranks import Ranks


class SharedObjective(Objective):
    """An objective whose batches are shared by ranks; x and y are whole batches throughout.

    Evaluations of many examples are shared, too. What is not overridden here is computed by each
    rank on all of its arguments.

    Args:
        whole: the objective. shape: of the data. ranks: that share.
    """

    def __init__(self, whole: Objective, shape: DataShape, ranks: Ranks) -> None:
        # One run has one loss.
        super().__init__(whole.model, cast(Loss, whole.loss), shape, whole.sample)
        self.whole = whole
        self.ranks = ranks

    def set_losses(self, losses: Sequence[Loss]) -> None:
        super().set_losses(losses)
        self.whole.set_losses(losses)

    def value_and_gradient(
        self,
        theta: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        uniforms: Uniforms | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self.model.normalizes() and uniforms is None:
            return self._normalized(theta, x, y)
        m = x.shape[1]
        rows = self.ranks.rows(m)
        count = rows.stop - rows.start
        if count:
            # All ranks draw the numbers of the whole batch, so that each example has its own.
            own = None if uniforms is None else lambda units: uniforms(units)[:, rows]
            loss, gradient = super().value_and_gradient(theta, x[:, rows], y[:, rows], own)
        else:
            loss, gradient = torch.zeros_like(theta[:, 0]), torch.zeros_like(theta)
        loss, gradient = self.ranks.sum(loss.mul_(count), gradient.mul_(count))
        return loss.div_(m), gradient.div_(m)

    def _normalized(
        self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loss and gradient where the model normalizes over the whole batch.

        Moments are summed over the ranks within the pass, and their gradients on the way back, so a
        rank without rows takes part as well.
        """
        m = x.shape[1]
        rows = self.ranks.rows(m)
        x, y = x[:, rows], y[:, rows]
        heads: list[torch.Tensor] = []

        def mean(values: torch.Tensor) -> torch.Tensor:
            return self._summed(values.sum(dim=1, keepdim=True)) / m

        leaf = theta.detach().requires_grad_()
        context = ForwardContext(
            training=True, branch=heads.append if self._branching else None, batch_mean=mean
        )
        loss = self.per_example(leaf, x, y, context).sum(dim=1) / m
        total = loss
        if self._branching:
            targets = self.model.targets(x, y)
            for outputs in heads:
                added = self.loss.per_example(outputs, targets).sum(dim=1) / m
                total = total + self.model.auxiliary_weight() * added
        penalty = self.penalty(leaf)
        if penalty is not None:
            total = total + penalty * ((rows.stop - rows.start) / m)
        (gradient,) = torch.autograd.grad(total, leaf, torch.ones_like(total))
        loss, gradient = self.ranks.sum(loss.detach(), gradient)
        return loss, gradient

    def _summed(self, own: torch.Tensor) -> torch.Tensor:
        """Return the sum over the ranks of a tensor with a graph.

        Every rank's terms depend on it, so its gradient is the sum of the ranks' gradients.
        """
        (total,) = self.ranks.sum(own.detach())
        own.register_hook(lambda gradient: self.ranks.sum(gradient)[0])
        return total + (own - own.detach())

    def evaluate(
        self,
        theta: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        of: torch.Tensor | None = None,
    ) -> OwnLoss:
        n = len(x)
        # Ranks share the batches of one run, so its data are all there are.
        if n < self.ranks.size or of is not None:
            return super().evaluate(theta, x, y, of)
        rows = self.ranks.rows(n)
        own = super().evaluate(theta, x[rows], y[rows])
        values = torch.stack([part.to(theta) for part in own if part is not None])
        table = values.new_zeros(*values.shape[:2], n)
        table[:, :, rows] = values
        (table,) = self.ranks.sum(table)
        if own.errors is None or own.margins is None:
            return OwnLoss(table[0], None, None)
        return OwnLoss(table[0], table[1].to(own.errors.dtype), table[2].to(own.margins.dtype))


class SharedBatchObjective(BatchObjective):
    """The objective on one batch, for closure-based optimizers, shared by ranks.

    A rule decides by what it finds here, which has the same bits on all ranks: they ask for the
    same values in the same order.

    Args:
        objective: the shared objective. x, y: whole batches ``[R, m, …]``. seeds, step: as for
            :class:`BatchObjective`.
    """

    def __init__(
        self,
        objective: SharedObjective,
        x: torch.Tensor,
        y: torch.Tensor,
        seeds: Sequence[int],
        step: int,
    ) -> None:
        rows = objective.ranks.rows(x.shape[1])
        super().__init__(objective.whole, x[:, rows], y[:, rows], seeds, step)
        self._shared, self._batch = objective, (x, y)
        self._count_here, self._m = rows.stop - rows.start, x.shape[1]

    def only(self, run: int) -> BatchObjective:
        row = slice(run, run + 1)
        x, y = self._batch
        alone = SharedBatchObjective(self._shared, x[row], y[row], self._seeds[row], self._step)
        return self._as_part(alone, run)

    @property
    def examples(self) -> int:
        return self._m

    def loss(self, theta: torch.Tensor) -> torch.Tensor:
        return self._mean(theta[:, 0], lambda: super(SharedBatchObjective, self).loss(theta))

    def values(self, points: torch.Tensor) -> torch.Tensor:
        return self._mean(points[..., 0], lambda: super(SharedBatchObjective, self).values(points))

    def gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self._count(1)
        like = (theta[:, 0], theta)
        own = (
            self._objective.total_and_gradient(theta, self._x, self._y)
            if self._count_here
            else [torch.zeros_like(part) for part in like]
        )
        value, gradient = self._shared.ranks.sum(*(part * self._count_here for part in own))
        return value / self._m, gradient / self._m

    def sampled_gradient(self, theta: torch.Tensor, purpose: str) -> torch.Tensor:
        if not self._count_here:
            self._count(1)
        return self._mean(
            theta, lambda: super(SharedBatchObjective, self).sampled_gradient(theta, purpose)
        )

    def layer_factors(self, theta: torch.Tensor, purpose: str) -> list[LayerFactors]:
        shapes = kronecker.layer_shapes(self._shared.layout)
        if self._count_here:
            own = kronecker.joined(super().layer_factors(theta, purpose))
        else:
            self._count(1)
            own = theta.new_zeros(len(theta), kronecker.values(shapes))
        return kronecker.split(self._mean(own, lambda: own), shapes)

    def _uniforms(self, width: int, purpose: str) -> torch.Tensor:
        # All ranks draw for the whole batch, so that each example has its own numbers.
        return super()._uniforms(width, purpose)[:, self._shared.ranks.rows(self._m)]

    def hessian_product(self, theta: torch.Tensor) -> Product:
        return self._products(super().hessian_product, theta)

    def hessian(self, theta: torch.Tensor) -> torch.Tensor:
        return self._matrix(super().hessian, theta)

    def fisher_product(self, theta: torch.Tensor) -> Product:
        return self._products(super().fisher_product, theta)

    def fisher(self, theta: torch.Tensor) -> torch.Tensor:
        return self._matrix(super().fisher, theta)

    def _mean(self, like: torch.Tensor, own: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the mean over the batch of what each rank finds on its rows."""
        part = own() * self._count_here if self._count_here else torch.zeros_like(like)
        return self._shared.ranks.sum(part)[0] / self._m

    def _products(self, make: Callable[[torch.Tensor], Product], theta: torch.Tensor) -> Product:
        if self._count_here:
            own = make(theta)
            return lambda v: self._mean(v, lambda: own(v))
        self._count(1)

        def product(v: torch.Tensor) -> torch.Tensor:
            self._count(2)
            return self._mean(v, lambda: v)

        return product

    def _matrix(
        self, make: Callable[[torch.Tensor], torch.Tensor], theta: torch.Tensor
    ) -> torch.Tensor:
        like = theta.unsqueeze(2).expand(-1, -1, theta.shape[1])
        if not self._count_here:
            self._count(2 * theta.shape[1])
        return self._mean(like, lambda: make(theta))


def batch_objective(
    objective: Objective, x: torch.Tensor, y: torch.Tensor, seeds: Sequence[int], step: int
) -> BatchObjective:
    """Return the objective of one batch for closure-based optimizers; see :class:`BatchObjective`.

    It is shared where ``objective`` is.

    Args:
        objective: the objective. x, y: batches ``[R, m, …]``. seeds: of the runs. step: its number.
    """
    if isinstance(objective, SharedObjective):
        return SharedBatchObjective(objective, x, y, seeds, step)
    return BatchObjective(objective, x, y, seeds, step)
