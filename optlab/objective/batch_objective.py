"""The objective on one batch, for rules that need more than a single gradient.

Line searches evaluate it at several points; second-order rules multiply with the Hessian or with
the Fisher matrix. What a product needs is computed once per point; a product then costs about two
gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from optlab.catalogue.models.base import TRAINING, ForwardContext
from optlab.core.errors import RunFailed
from optlab.core.lazy import torch
from optlab.numerics.conjugate_gradients import Product
from optlab.numerics.kronecker import LayerFactors, layer_factors, layer_shapes
from optlab.objective.hessian import batch_hessian, graph_hessian
from optlab.objective.objective import Objective
from optlab.objective.second_derivatives import double_backward, explained_failure
from optlab.objective.seeding import generator

_COLUMNS = 64
"""Columns of a Fisher matrix computed at once: bounds the memory of the batched backward pass."""

WholeGradient = Callable[["torch.Tensor", Sequence[int]], tuple["torch.Tensor", int]]
"""Parameters ``[R, P]`` of some runs and their numbers → gradients on all training examples of each,
and the number of examples."""


class BatchRows(NamedTuple):
    """Where the examples of the batches are in the training sets.

    Attributes:
        examples: number of training examples of a run.
        at: step → the numbers ``[R, m]`` of the examples of its batch.
    """

    examples: int
    at: Callable[[int], torch.Tensor]


_POPULATION_VALUES = 8_000_000
"""Input values or parameters that the points evaluated at once may hold."""


class BatchObjective:
    """The objective (with weight decay and auxiliary heads) of R runs on their batches.

    Args:
        objective: that of these runs. x, y: batches ``[R, m, …]``. seeds: of the runs.
        step: number of the current step (0, 1, …), for draws.

    Attributes:
        whole: the gradient on all training examples, for rules that need it; None where the batch
            is all there is, as on a surface.
        rows: numbers ``[R, m]`` of the examples in the training set; None where the batch is all
            there is.
    """

    whole: WholeGradient | None = None
    rows: torch.Tensor | None = None

    def __init__(
        self,
        objective: Objective,
        x: torch.Tensor,
        y: torch.Tensor,
        seeds: Sequence[int],
        step: int,
    ) -> None:
        # All passes of the step see the same state of the runs, and the same random numbers.
        self._objective = objective.in_step(seeds, step)
        self._x, self._y = x, y
        self._seeds = list(seeds)
        self._step = step
        self._gradients = [0] * len(self._seeds)
        self._part_of: tuple[BatchObjective, int] | None = None

    @property
    def gradients(self) -> Sequence[int]:
        """Evaluations of the gradient so far, one number a run; a product counts as two."""
        return self._gradients

    def only(self, run: int) -> BatchObjective:
        """Return the objective of one run alone; its evaluations count here, too."""
        row = slice(run, run + 1)
        alone = BatchObjective(
            self._objective.selected([run]),
            self._x[row],
            self._y[row],
            self._seeds[row],
            self._step,
        )
        return self._as_part(alone, run)

    def _as_part(self, alone: BatchObjective, run: int) -> BatchObjective:
        """Return the objective of one run, made one of this objective."""
        alone._part_of = (self, run)
        whole = self.whole
        if self.rows is not None:
            alone.rows = self.rows[run : run + 1]
        if whole is not None:
            alone.whole = lambda theta, _: whole(theta, [run])
        return alone

    def generator(self, run: int, purpose: str) -> torch.Generator:
        """Return a generator for this step of one run: the same draws if the step is repeated."""
        return generator(self._seeds[run], f"{purpose}/{self._step}")

    def loss(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the objective ``[R]`` at ``theta`` ``[R, P]``."""
        with torch.no_grad():
            return self._objective.total(theta, self._x, self._y)

    def values(self, points: torch.Tensor) -> torch.Tensor:
        """Return the objective ``[R, K]`` at many points ``[R, K, P]`` of each run.

        The points are evaluated as a population of R · K runs, in chunks of bounded memory.
        """
        runs, _, parameters = points.shape
        examples = self._x.shape[1]
        wide = max(parameters, examples * max(1, self._objective.shape.width))
        count = max(1, _POPULATION_VALUES // (runs * wide))
        chunks: list[torch.Tensor] = []
        with torch.no_grad():
            for part in points.split(count, dim=1):
                size = part.shape[1]
                x, y = (
                    t.unsqueeze(1)
                    .expand(runs, size, *t.shape[1:])
                    .reshape(runs * size, *t.shape[1:])
                    for t in (self._x, self._y)
                )
                values = self._objective.repeated(size).total(
                    part.reshape(runs * size, parameters), x, y
                )
                chunks.append(values.view(runs, size))
        return torch.cat(chunks, dim=1)

    def gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the objective ``[R]`` and its gradient ``[R, P]`` at ``theta`` ``[R, P]``."""
        self._count(1)
        return self._objective.total_and_gradient(theta, self._x, self._y)

    def full_gradient(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the gradients ``[R, P]`` at ``theta`` ``[R, P]`` on all training examples.

        It counts as many evaluations as there are batches in the training set.

        Raises:
            RunFailed: the passes of a step are those of another function than evaluations see.
        """
        if self.whole is None:
            return self.gradient(theta)[1]
        states = self._objective.states
        if states is not None and states.differs:
            raise RunFailed(
                f"model.name is '{self._objective.model.name}', whose training passes draw random "
                "numbers or depend on their batch (dropout, batch normalization), and the update "
                "rule needs the gradient on all training examples, which would be that of another "
                "function; choose another optimizer, or switch these layers off."
            )
        gradient, examples = self.whole(theta, range(len(theta)))
        self._count(max(1, round(examples / self.examples)))
        return gradient

    @property
    def examples(self) -> int:
        """Number of examples of the batch."""
        return self._x.shape[1]

    def example_gradients(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the objective ``[R, m]`` of single examples and its gradients ``[R, m, P]``.

        Each includes the weight decay. They count as one evaluation on the batch.

        Args:
            theta: ``[R, P]``.
        """
        self._count(1)
        runs, m = self._x.shape[:2]
        # Each example is the batch of a run.
        leaf = theta.detach().unsqueeze(1).expand(runs, m, -1).flatten(0, 1)
        x, y = (part.flatten(0, 1).unsqueeze(1) for part in (self._x, self._y))
        values, gradients = self._objective.repeated(m).total_and_gradient(leaf, x, y)
        return values.view(runs, m), gradients.view(runs, m, -1)

    def example_rows(self) -> torch.Tensor:
        """Return the numbers ``[R, m]`` of the examples of the batch in the training set."""
        if self.rows is not None:
            return self.rows
        return torch.arange(self._x.shape[1], device=self._x.device).expand(len(self._seeds), -1)

    def sampled_gradient(self, theta: torch.Tensor, purpose: str) -> torch.Tensor:
        """Return the gradient ``[R, P]`` of the loss for targets that the model predicts.

        A target is drawn for each example; weight decay is not included.

        Args:
            theta: ``[R, P]``. purpose: part of the seed of the draws.
        """
        self._count(1)
        leaf = theta.detach().requires_grad_()
        with torch.enable_grad():
            total = self._sampled_losses(leaf, purpose).mean(dim=1)
            (gradient,) = torch.autograd.grad(total.sum(), leaf)
        return gradient

    def layer_factors(self, theta: torch.Tensor, purpose: str) -> list[LayerFactors]:
        """Return the Kronecker factors of each layer, for targets drawn from the predictions.

        Args:
            theta: ``[R, P]``. purpose: part of the seed of the draws.
        """
        self._count(1)
        taken: list[tuple[int, torch.Tensor, torch.Tensor]] = []

        def tap(weight: int, inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
            # The gradient by what is added is that by the outputs.
            probe = torch.zeros_like(outputs, requires_grad=True)
            taken.append((weight, inputs.detach(), probe))
            return outputs + probe

        with torch.enable_grad():
            losses = self._sampled_losses(
                theta.detach(), purpose, ForwardContext(training=True, tap=tap)
            )
            deltas = torch.autograd.grad(losses.sum(), [probe for _, _, probe in taken])
        shapes = {shape.weight: shape for shape in layer_shapes(self._objective.layout)}
        return [
            layer_factors(shapes[weight], inputs, delta)
            for (weight, inputs, _), delta in zip(taken, deltas, strict=True)
        ]

    def _sampled_losses(
        self, leaf: torch.Tensor, purpose: str, context: ForwardContext = TRAINING
    ) -> torch.Tensor:
        """Return the loss ``[R, m]`` of each example for a target drawn from its prediction."""
        outputs = self._objective.outputs(leaf, self._x, context)
        loss = self._objective.loss
        drawn = loss.draw(outputs.detach(), self._uniforms(outputs.shape[2], purpose))
        return loss.per_example(outputs, drawn)

    def _uniforms(self, width: int, purpose: str) -> torch.Tensor:
        """Return numbers for draws for the examples of each run, ``[R, m, width]`` float64."""
        return torch.stack(
            [
                torch.rand(
                    self.examples,
                    width,
                    generator=self.generator(run, purpose),
                    dtype=torch.float64,
                )
                for run in range(len(self._seeds))
            ]
        )

    def hessian_product(self, theta: torch.Tensor) -> Product:
        """Return ``v [R, P]`` → ``H v``, with the exact Hessian at ``theta`` ``[R, P]``."""
        self._count(1)
        hessian = batch_hessian(self._objective, theta, self._x, self._y)

        def product(v: torch.Tensor) -> torch.Tensor:
            self._count_products(v)
            return hessian.product(v)

        return product

    def hessian(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the Hessians ``[R, P, P]`` at ``theta`` ``[R, P]``; for small P."""
        self._count(1 + 2 * theta.shape[1])
        # One graph and a batched backward pass: the written-out products would run the model again
        # for every column, which takes longer on large batches.
        return graph_hessian(self._objective, theta, self._x, self._y).dense()

    def fisher_product(self, theta: torch.Tensor) -> Product:
        """Return ``v [R, P]`` → ``F v``, with the Fisher matrix at ``theta`` ``[R, P]``.

        The matrix is that of the model's own predictions on the batch, without weight decay: ``F =
        mean Jᵀ S J`` with J the Jacobian of the outputs and S the Fisher matrix of the predicted
        distribution. For these losses it is also the Gauss–Newton matrix.
        """
        written_out = self._written_out_fisher_product(theta)
        if written_out is not None:
            return written_out
        leaf, outputs, probe, pulled = self._pulled(theta)
        predicted = outputs.detach()
        m = outputs.shape[1]

        def product(v: torch.Tensor) -> torch.Tensor:
            self._count_products(v)
            # Jᵀu is linear in u, so its derivative by u along v is Jv.
            with explained_failure(self._objective.model.name):
                (pushed,) = torch.autograd.grad(pulled, probe, v, retain_graph=True)
            weighted = self._objective.loss.fisher_product(predicted, pushed) / m
            (result,) = torch.autograd.grad(outputs, leaf, weighted, retain_graph=True)
            return result

        return product

    def _written_out_fisher_product(self, theta: torch.Tensor) -> Product | None:
        """Return :meth:`fisher_product` without autograd; None where the model needs it."""
        objective = self._objective
        if objective.draws:
            return None
        split = objective.layout.split
        with torch.no_grad():
            at_point = objective.model.linearized(split(theta.detach()), self._x)
            if at_point is None:
                return None
            matrices = objective.loss.fisher_products(at_point.outputs)

        def weighted(u: torch.Tensor) -> torch.Tensor:
            return matrices(u).div_(self._x.shape[1])

        def product(v: torch.Tensor) -> torch.Tensor:
            self._count_products(v)
            with torch.no_grad():
                result = torch.empty_like(theta)
                at_point.gauss_newton_product(split(v), weighted, split(result))
            return result

        return product

    def fisher(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the matrices ``[R, P, P]`` of :meth:`fisher_product` at ``theta``; for small P."""
        leaf, outputs, probe, pulled = self._pulled(theta)
        runs, m, width = outputs.shape
        rows: list[torch.Tensor] = []
        for units in _units(theta):
            with explained_failure(self._objective.model.name):
                (pushed,) = torch.autograd.grad(
                    pulled, probe, units, retain_graph=True, is_grads_batched=True
                )
            predicted = outputs.detach().expand(pushed.shape).reshape(-1, m, width)
            loss = self._objective.selected([*range(runs)] * len(units)).loss
            weighted = (
                loss.fisher_product(predicted, pushed.reshape(-1, m, width)).view(pushed.shape) / m
            )
            rows.append(
                torch.autograd.grad(
                    outputs, leaf, weighted, retain_graph=True, is_grads_batched=True
                )[0]
            )
        self._count(2 * theta.shape[1])
        return _symmetric(torch.cat(rows))

    def gauss_newton_product(self, theta: torch.Tensor) -> Product:
        """Return ``v [R, P]`` → ``G v``, with the Gauss–Newton matrix at ``theta`` ``[R, P]``.

        It is the Fisher matrix of the predictions plus the second derivative of weight decay.
        """
        fisher = self.fisher_product(theta)

        def product(v: torch.Tensor) -> torch.Tensor:
            result, decay = fisher(v), self._objective.decay_product(v)
            return result if decay is None else result + decay

        return product

    def gauss_newton(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the matrices ``[R, P, P]`` of :meth:`gauss_newton_product`; for small P."""
        matrix = self.fisher(theta)
        decay = self._objective.decay_product(torch.ones_like(theta))
        return matrix if decay is None else matrix + torch.diag_embed(decay)

    def _pulled(
        self, theta: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return leaf, outputs, a probe u of their shape, and ``Jᵀu`` as a function of u."""
        leaf = theta.detach().requires_grad_()
        with double_backward():
            outputs = self._objective.outputs(leaf, self._x, TRAINING)
            probe = torch.zeros_like(outputs, requires_grad=True)
            with explained_failure(self._objective.model.name):
                (pulled,) = torch.autograd.grad(outputs, leaf, probe, create_graph=True)
        return leaf, outputs, probe, pulled

    def _count_products(self, v: torch.Tensor) -> None:
        """Count a product with ``v`` ``[R, P]`` for the runs whose row is not zero."""
        used = (v != 0.0).any(dim=1).tolist()
        if all(used):
            self._count(2)
            return
        for run, own in enumerate(used):
            self._gradients[run] += 2 * own
        if self._part_of is not None:
            parent, run = self._part_of
            parent._gradients[run] += 2 * used[0]

    def _count(self, number: int) -> None:
        self._gradients = [count + number for count in self._gradients]
        if self._part_of is not None:
            parent, run = self._part_of
            parent._gradients[run] += number


def _units(theta: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield unit vectors ``[c, R, P]``, the same in every run, a few at a time."""
    runs, parameters = theta.shape
    for begin in range(0, parameters, _COLUMNS):
        count = min(_COLUMNS, parameters - begin)
        units = torch.zeros(count, runs, parameters, dtype=theta.dtype, device=theta.device)
        units.diagonal(begin, 0, 2).fill_(1.0)
        yield units


def _symmetric(rows: torch.Tensor) -> torch.Tensor:
    """Return symmetric matrices ``[R, P, P]`` from their rows ``[P, R, P]``."""
    matrix = rows.transpose(0, 1)
    return 0.5 * (matrix + matrix.transpose(1, 2))
