"""The objective: ``theta [R, P]`` and a batch → losses ``[R]`` and gradients ``[R, P]``.

The losses of different runs are independent, so the gradient of their sum holds every run's own
gradient.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from optlab.catalogue.losses.base import Loss, margin, most_probable, zero_one
from optlab.catalogue.models.base import EVALUATION, TRAINING, ForwardContext, Model
from optlab.catalogue.models.capabilities import Layers, Moments, Symmetry, Uniforms
from optlab.core.data import DataShape
from optlab.core.lazy import torch
from optlab.core.limits import CHUNK_VALUES
from optlab.objective.dependent_inputs import dependent_inputs
from optlab.objective.output_shifts import output_shifts
from optlab.objective.run_examples import RunExamples
from optlab.objective.run_losses import RunLosses
from optlab.objective.run_states import RunStates, built_states
from optlab.objective.switching_units import switching_units
from optlab.objective.weight_decay import WeightDecay


class OwnLoss(NamedTuple):
    """Values of each example of a part, ``[R, n]``; errors and margins are None for regression."""

    losses: torch.Tensor
    errors: torch.Tensor | None
    margins: torch.Tensor | None


SAMPLE = 10_000
"""Training examples, at most, on which a normalizing model computes its moments for evaluations."""


MAX_SYMMETRY_VALUES = 20_000_000
"""Values of the directions of one family of symmetries, at most."""


class Objective:
    """The training objective of one model on data of one shape (8.1, 8.3).

    ``J(θ) = mean per-example loss + weight-decay terms + losses of auxiliary heads``. The reported
    loss is the mean per-example loss alone; the gradient is that of all terms.

    Args:
        model, loss: of the catalogue. shape: of the data.
        sample: training examples ``[n, *inputs]`` in random order; from the first :data:`SAMPLE` of
            them a model that normalizes over the batch computes its moments for evaluations. Other
            models do not keep them.

    Attributes:
        shape: the shape of the problem, which a model may define differently from the data's.
        layout: how ``theta`` divides into the model's tensors.
        decay: the weight-decay terms.
        keeping: whether a gradient leaves the layers that it passed through in :attr:`kept`, with
            its parameters, for instruments; nothing is left where it passes through other than
            affine layers.
        curvature_problems: one entry, what is wrong with the second derivatives of a model of the
            user's, "" if nothing; none while it is not known.
        uses_surrogate_gradient: whether training follows the gradient of the model's surrogate,
            which draws random numbers, in place of that of the loss.
        states: what the runs have beside their parameters; None where they have nothing.
    """

    def __init__(
        self, model: Model, loss: Loss, shape: DataShape, sample: torch.Tensor | None = None
    ) -> None:
        self.model = model.for_shape(shape)
        self.loss: Loss | RunLosses = loss
        self.shape = model.target_shape(shape)
        self.layout = self.model.layout(shape)
        self.decay = WeightDecay([loss], self.layout)
        self.sample = sample[:SAMPLE] if sample is not None and model.normalizes() else None
        self._sample = self.sample
        self.uses_surrogate_gradient = model.uses_surrogate_gradient()
        self.curvature_problems: list[str] = []
        self.states: RunStates | None = None
        self.keeping = False
        self.kept: tuple[torch.Tensor, Layers] | None = None
        self._has_own_loss = model.has_own_loss()
        self._branching = model.auxiliary_weight() != 0.0

    def selected(self, rows: Sequence[int]) -> Objective:
        """Return the objective of runs of which number i is the run ``rows[i]`` of this one.

        A run may be selected several times: each of its examples or points can be a run of its own.
        """
        return self if self.states is None else self._with(self.states.selected(rows))

    def begin(self, seeds: Sequence[int]) -> None:
        """Give the runs, whose seeds these are, the state that they have before their first step."""
        self.states = built_states(self.model, self.shape, seeds)

    def in_step(
        self, seeds: Sequence[int], step: int, after: dict[str, torch.Tensor] | None = None
    ) -> Objective:
        """Return the objective for the passes of a step, in which the model draws random numbers.

        Args:
            seeds: of the runs. step: its number (0, 1, …). after: receives their state ``[R, …]``.
        """
        states = self.states
        return self if states is None else self._with(states.in_step(seeds, step, after))

    @property
    def draws(self) -> bool:
        """Whether passes may draw random numbers, so that nothing is written out."""
        return self.states is not None and self.states.seeds is not None

    @property
    def steps_differ(self) -> bool:
        """Whether a step follows another gradient than that of the losses outside of a step.

        That of a surrogate, or of passes that draw random numbers or depend on their batch.
        """
        return self.uses_surrogate_gradient or (self.states is not None and self.states.differs)

    def state_after(
        self, theta: torch.Tensor, x: torch.Tensor, seeds: Sequence[int], step: int
    ) -> dict[str, torch.Tensor]:
        """Return the state of the runs after a training pass of a step.

        Args:
            theta: ``[R, P]``. x: batch ``[R, m, *inputs]``. seeds: of the runs. step: its number.

        Returns:
            Name → values ``[R, …]`` of what the pass changes; {} where it changes nothing.
        """
        after: dict[str, torch.Tensor] = {}
        if self.states is not None and self.states.differs:
            with torch.no_grad():
                self.in_step(seeds, step, after).outputs(theta, x, TRAINING)
        return after

    def _with(self, states: RunStates) -> Objective:
        own = copy.copy(self)
        own.states = states
        return own

    def set_losses(self, losses: Sequence[Loss]) -> None:
        """Replace the losses of the runs by others that differ in the weight-decay terms only.

        Args:
            losses: one a run; all have the same where the runs of this objective share a loss.
        """
        self.loss = losses[0]
        self.decay = self.decay.replaced(losses[:1])

    def repeated(self, count: int) -> Objective:
        """Return the objective of R · ``count`` runs: ``count`` of each run, one after another."""
        return self if self.states is None else self._with(self.states.repeated(count))

    def outputs(
        self, theta: torch.Tensor, x: torch.Tensor, context: ForwardContext = EVALUATION
    ) -> torch.Tensor:
        """Return the outputs ``[R, m, outputs]`` for inputs ``x`` ``[R, m, *inputs]``."""
        if not context.training and context.statistics is None and self.model.normalizes():
            context = replace(context, statistics=self.statistics(theta))
        if self.states is not None:
            context = self.states.context(context, theta)
        return self.model.forward(self.layout.split(theta), x, context)

    def per_example(
        self,
        theta: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        context: ForwardContext = TRAINING,
    ) -> torch.Tensor:
        """Return the loss ``[R, m]`` of each example, without weight decay."""
        if self._has_own_loss:
            return self.model.own_loss(self.layout.split(theta), x)
        return self.loss.per_example(self.outputs(theta, x, context), self.model.targets(x, y))

    def losses(
        self,
        theta: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        context: ForwardContext = TRAINING,
    ) -> torch.Tensor:
        """Return the mean loss ``[R]`` of a batch, without weight decay."""
        return self.per_example(theta, x, y, context).mean(dim=1)

    def penalty(self, theta: torch.Tensor) -> torch.Tensor | None:
        """Return the weight-decay terms ``[R]``, or None where the loss has none."""
        return self.decay.penalty(theta)

    def value_and_gradient(
        self,
        theta: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        uniforms: Uniforms | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean batch loss ``[R]``, and the gradient ``[R, P]`` of the entire objective.

        Args:
            theta: ``[R, P]``. x: ``[R, m, *inputs]``. y: ``[R, m]`` or ``[R, m, outputs]``.
            uniforms: random numbers for the model's surrogate, where training follows its gradient
                (:attr:`uses_surrogate_gradient`); without them the gradient is that of the loss.
        """
        if uniforms is not None:
            return self._surrogate_gradient(theta, x, y, uniforms)
        written_out = self._written_out(theta, x, y)
        if written_out is not None:
            return written_out
        leaf = theta.detach().requires_grad_()
        losses, added = self._terms(leaf, x, y)
        total = _plus(losses, added)
        # Ones in place of a sum: the same gradient with one operation less each way.
        (gradient,) = torch.autograd.grad(total, leaf, torch.ones_like(total))
        return losses.detach(), gradient

    def _surrogate_gradient(
        self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor, uniforms: Uniforms
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss, and the gradient of the model's surrogate with weight decay."""
        leaf = theta.detach().requires_grad_()
        surrogate = self.model.surrogate(self.layout.split(leaf), x, uniforms)
        total = self.penalized(surrogate, leaf)
        (gradient,) = torch.autograd.grad(total, leaf, torch.ones_like(total))
        with torch.no_grad():
            return self.losses(theta, x, y, EVALUATION), gradient

    def total(
        self,
        theta: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        losses: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the objective ``[R]`` on a batch: mean loss, weight decay and auxiliary heads.

        Args:
            theta: ``[R, P]``. x: ``[R, m, *inputs]``. y: ``[R, m]`` or ``[R, m, outputs]``.
            losses: mean batch losses ``[R]`` where they are known already; the result then has no
                graph.
        """
        if losses is not None:
            return _plus(losses, self.added(theta, x, y))
        return _plus(*self._terms(theta, x, y))

    def total_and_gradient(
        self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the objective ``[R]`` on a batch, without a graph, and its gradient ``[R, P]``."""
        losses, gradient = self.value_and_gradient(theta, x, y)
        return self.total(theta, x, y, losses), gradient

    def penalized(self, losses: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        """Return losses ``[R]`` of any examples plus weight decay at ``theta`` ``[R, P]``."""
        return _plus(losses, self.penalty(theta))

    def _terms(
        self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the mean batch loss ``[R]``, and what the objective adds to it ``[R]``.

        That is weight decay and the losses of auxiliary heads; None where it adds nothing.
        """
        if not self._branching:
            return self.losses(theta, x, y), self.penalty(theta)
        heads: list[torch.Tensor] = []
        losses = self.losses(theta, x, y, ForwardContext(training=True, branch=heads.append))
        targets = self.model.targets(x, y)
        added = torch.zeros_like(losses)
        for outputs in heads:
            added = added + self.model.auxiliary_weight() * self.loss.per_example(
                outputs, targets
            ).mean(dim=1)
        penalty = self.penalty(theta)
        return losses, added if penalty is None else added + penalty

    def added(self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor | None:
        """Return weight decay and losses of auxiliary heads ``[R]``, without a graph.

        None where there are neither. The batch is evaluated only where there are auxiliary heads.
        """
        with torch.no_grad():
            return self._terms(theta, x, y)[1] if self._branching else self.penalty(theta)

    def statistics(self, theta: torch.Tensor) -> list[Moments]:
        """Return the moments ``[R, 1, units]`` that the model normalizes with in evaluations.

        They are those of the training sample; those of a layer are computed with the layers below
        normalized by theirs. They depend on the parameters and the training set alone, neither on
        the examples evaluated nor on how these are cut into chunks.

        Raises:
            ValueError: there is no training sample.
        """
        if self.sample is None or self._sample is None:
            raise ValueError(
                f"{self.model.label} normalizes over the batch: to evaluate it, the objective "
                "needs training examples."
            )
        if self._sample.device != theta.device or self._sample.dtype != theta.dtype:
            self._sample = self.sample.to(theta)
        widest = max(self.shape.width, *(spec.shape[0] for spec in self.layout.parameters))
        parts: list[list[Moments]] = []
        with torch.no_grad():
            begin = 0
            for some in theta.split(
                max(1, CHUNK_VALUES // (self._sample_length(self._sample) * widest))
            ):
                moments: list[Moments] = []
                self.model.forward(
                    self.layout.split(some),
                    self._sample_of(self._sample, slice(begin, begin + len(some))),
                    ForwardContext(training=True, observe=moments.append),
                )
                parts.append(moments)
                begin += len(some)
        return [
            (
                torch.cat([mean for mean, _ in layer]),
                torch.cat([variance for _, variance in layer]),
            )
            for layer in zip(*parts, strict=True)
        ]

    def _sample_length(self, sample: torch.Tensor) -> int:
        """Return the number of examples in the sample of a run."""
        return len(sample)

    def _sample_of(self, sample: torch.Tensor, rows: slice) -> torch.Tensor:
        """Return the sample of some runs, ``[rows, n, *inputs]``."""
        return sample.expand(rows.stop - rows.start, *sample.shape)

    def _written_out(
        self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return loss and gradient by backward passes of model and loss; None without them."""
        if self.draws:
            return None
        # As `no_grad`, at half its cost: this runs in every step.
        with torch.set_grad_enabled(False):
            parameters = self.layout.split(theta)
            recorded = self.model.record(parameters, x)
            if recorded is None:
                return None
            outputs, tape = recorded
            own_loss = self.loss.with_gradient(outputs, self.model.targets(x, y))
            if own_loss is None:
                return None
            losses, delta = own_loss
            gradient = torch.empty_like(theta)
            layers: Layers | None = [] if self.keeping else None
            self.model.backward(parameters, tape, delta, self.layout.split(gradient), layers)
            self.kept = None if layers is None else (theta, layers)
            self.decay.add_gradient(gradient, theta)
        return losses, gradient

    def decay_gradient(self, theta: torch.Tensor) -> torch.Tensor | None:
        """Return the gradient ``[R, P]`` of the weight-decay terms; None where there are none."""
        return self.decay.gradient(theta)

    def decay_product(self, v: torch.Tensor) -> torch.Tensor | None:
        """Return the Hessian of the weight-decay terms times ``v`` ``[R, P]``.

        None where it is zero, as that of the L1 term is.
        """
        return self.decay.product(v)

    def weight_norm(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the Euclidean norm ``[R]`` of the weights, without biases."""
        norm: torch.Tensor = torch.linalg.vector_norm(theta * self.decay.mask(theta), dim=1)
        return norm

    def evaluate(
        self,
        theta: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        of: torch.Tensor | None = None,
    ) -> OwnLoss:
        """Return losses, and for classes 0-1 errors and margins, of each example, each ``[R, n]``.

        Args:
            theta: ``[R, P]``. x: ``[n, *inputs]``. y: ``[n]`` or ``[n, outputs]``; shared by all
                runs.
            of: where runs have different data, the data set ``[R]`` of each; x and y then are
                those of all data sets, ``[D, n, …]``.
        """
        losses: list[torch.Tensor] = []
        errors: list[torch.Tensor] = []
        margins: list[torch.Tensor] = []
        with torch.no_grad():
            for inputs, outputs, targets in self._evaluated(theta, RunExamples(x, y, of)):
                if outputs is None:
                    losses.append(self.model.own_loss(self.layout.split(theta), inputs))
                    continue
                losses.append(self.loss.per_example(outputs, targets))
                if self.shape.task == "classes":
                    errors.append(zero_one(outputs, targets))
                    margins.append(margin(outputs, targets))
        if not errors:
            return OwnLoss(torch.cat(losses, dim=1), None, None)
        return OwnLoss(
            torch.cat(losses, dim=1), torch.cat(errors, dim=1), torch.cat(margins, dim=1)
        )

    def predictions(
        self,
        theta: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        of: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return what the model predicts, and what it should: classes or values of each example.

        Args:
            theta: ``[R, P]``. x: ``[n, *inputs]``. y: ``[n]`` or ``[n, outputs]``; shared by all
                runs. of: see :meth:`evaluate`.

        Returns:
            Both ``[R, n]`` int64 for classes, ``[R, n, outputs]`` for regression; None where the
            model has a loss of its own and predicts nothing.
        """
        predicted, right = list[torch.Tensor](), list[torch.Tensor]()
        classes = self.shape.task == "classes"
        with torch.no_grad():
            for _, outputs, targets in self._evaluated(theta, RunExamples(x, y, of)):
                if outputs is None:
                    return None
                predicted.append(most_probable(outputs) if classes else outputs)
                right.append(targets)
        return torch.cat(predicted, dim=1), torch.cat(right, dim=1)

    def _evaluated(
        self, theta: torch.Tensor, examples: RunExamples
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]]:
        """Yield inputs, outputs and targets ``[R, m, …]``, chunk by chunk.

        The outputs are None where the model has a loss of its own.
        """
        runs = theta.shape[0]
        rows = max(1, CHUNK_VALUES // (runs * max(1, self.shape.width)))
        context = (
            ForwardContext(training=False, statistics=self.statistics(theta))
            if self.model.normalizes()
            else EVALUATION
        )
        for inputs, y in examples.chunks(runs, rows):
            targets = self.model.targets(inputs, y)
            outputs = None if self._has_own_loss else self.outputs(theta, inputs, context)
            yield inputs, outputs, targets

    def symmetries(
        self, theta: torch.Tensor, x: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Return the directions in which known symmetries leave ``theta`` ``[1, P]``, by name.

        The objective is constant along each. Where weights decay, those remain that change no
        weight, or under an L2 term only turn the weights.

        Args:
            theta: ``[1, P]``.
            x: all examples that the objective is computed on, ``[…, *inputs]``: directions in which
                inputs depend on each other, or units switch together, are included.

        Returns:
            Directions ``[k, P]``; a family of more than :data:`MAX_SYMMETRY_VALUES` values is left
            out.
        """
        if self._has_own_loss:
            return {}
        found: dict[str, list[torch.Tensor]] = {}
        for symmetry in [
            *output_shifts(self.loss, self.layout, theta),
            *self._model_symmetries(theta, x),
            *([] if x is None else dependent_inputs(self.model, self.layout, x, theta)),
        ]:
            if symmetry.count * theta.shape[1] > MAX_SYMMETRY_VALUES:
                continue
            directions = symmetry.directions()
            turned = symmetry.rotation and not self.decay.has_l1
            if self.decay.active and not turned:
                directions = directions[~((directions * self.decay.mask(theta)) != 0.0).any(dim=1)]
            if len(directions):
                found.setdefault(symmetry.name, []).append(directions)
        return {name: torch.cat(parts) for name, parts in found.items()}

    def _model_symmetries(self, theta: torch.Tensor, x: torch.Tensor | None) -> list[Symmetry]:
        if x is None:
            return self.model.symmetries(self.layout.split(theta))
        examples = x.reshape(-1, *self.shape.inputs)
        switching = switching_units(self.model, self.layout, examples, theta)
        return self.model.symmetries(self.layout.split(theta), switching)


def _plus(losses: torch.Tensor, added: torch.Tensor | None) -> torch.Tensor:
    return losses if added is None else losses + added
