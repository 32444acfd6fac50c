"""One step of a population: all gradients in one evaluation, then each group's rule on its rows.

It is a pure function of the parameters, the groups' states and the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from optlab.catalogue.continuation.base import Continuation
from optlab.catalogue.optimizers.base import State
from optlab.core.lazy import torch
from optlab.objective.batch_objective import BatchRows, WholeGradient
from optlab.objective.objective import Objective
from optlab.objective.shared import batch_objective
from optlab.training.groups import Group
from optlab.training.step_gradient import StepGradient


class ProposedStep(NamedTuple):
    """A step that was computed but not yet accepted.

    Attributes:
        point: where the gradients were evaluated, ``[R, P]``. loss: batch loss there, ``[R]``.
            gradient: ``[R, P]``; norm: ``[R]``, before clipping. used: gradients after clipping,
            ``[rows, P]`` of each group.
        after: new parameters ``[R, P]``. states: new states, one a group. rates: learning rates,
            one a run.
        notes: run → why its step is not what the method promises.
        clipped: share ``[R]`` of each gradient's components that clipping changes; None where no
            run clips.
        evaluations: gradients that the step evaluated, one number a run; () where each has one.
    """

    point: torch.Tensor
    loss: torch.Tensor
    gradient: torch.Tensor
    norm: torch.Tensor
    used: list[torch.Tensor]
    after: torch.Tensor
    states: list[State]
    rates: list[float]
    notes: dict[int, str]
    clipped: torch.Tensor | None = None
    evaluations: Sequence[int] = ()


class Stepper:
    """Computes steps of the runs of some groups.

    Args:
        continuations, seeds: of the runs. whole: the gradient on all training examples; None where
            a batch is all there is. rows: where the examples of a batch are in the training set.
    """

    def __init__(
        self,
        objective: Objective,
        groups: Sequence[Group],
        continuations: Sequence[Continuation],
        seeds: Sequence[int],
        whole: WholeGradient | None = None,
        rows: BatchRows | None = None,
    ) -> None:
        self._objective = objective
        self._rows = rows
        self._whole = whole
        self._groups = list(groups)
        self._gradient = StepGradient(objective, continuations, seeds)
        self._seeds = list(seeds)
        self._blurred = any(one.active for one in continuations)
        self._needs_objective = any(group.needs_objective for group in self._groups)
        self._clipping = any(group.clipping.active for group in self._groups)

    def propose(
        self, theta: torch.Tensor, step: int, x: torch.Tensor, y: torch.Tensor
    ) -> ProposedStep:
        """Compute step ``step`` (0, 1, …) from ``theta`` ``[R, P]`` on the batch ``x``, ``y``.

        The groups' states are read, not written.
        """
        return self.propose_at(theta, step, x, y, self.rates(step))

    def propose_at(
        self, theta: torch.Tensor, step: int, x: torch.Tensor, y: torch.Tensor, rates: list[float]
    ) -> ProposedStep:
        """Compute a step from ``theta`` ``[R, P]`` as :meth:`propose` does, its rates being set.

        Args:
            x, y: the batch ``[R, m, …]``. rates: those that have been set, one a run.
        """
        if self._needs_objective:
            return self._mixed(theta, step, x, y, rates)
        point = self._joined(
            theta, [group.point(group.select(theta), step) for group in self._groups]
        )
        loss, gradient, values = self._gradient.at(point, step, x, y)
        norm = torch.linalg.vector_norm(gradient, dim=1)
        used = [group.clip(group.select(gradient), group.select(norm)) for group in self._groups]
        updated = [
            group.update(group.select(theta), g)
            for group, g in zip(self._groups, used, strict=True)
        ]
        after = self._joined(theta, [after for after, _ in updated])
        return ProposedStep(
            point,
            loss,
            gradient,
            norm,
            used,
            after,
            [
                group.with_values(state, {name: group.select(v) for name, v in values.items()})
                for group, (_, state) in zip(self._groups, updated, strict=True)
            ],
            rates,
            {},
            self._clipped(gradient, norm),
            self._gradient.evaluations(step) if self._blurred else (),
        )

    def rates(self, step: int) -> list[float]:
        """Return the learning rates of step ``step``, one a run, and set the groups to them."""
        if len(self._groups) == 1:
            return self._groups[0].schedule(step)
        rates = [0.0] * len(self._seeds)
        for group in self._groups:
            for row, rate in zip(group.rows, group.schedule(step), strict=True):
                rates[row] = rate
        return rates

    @property
    def obstacle(self) -> str:
        """Why steps do not all consist of the same operations; see :attr:`Population.obstacle`."""
        if self._needs_objective:
            return "the optimizer evaluates the objective itself"
        if not self._gradient.plain:
            return "each gradient depends on random draws"
        return next((group.obstacle for group in self._groups if group.obstacle), "")

    @property
    def counts(self) -> bool:
        """Whether a step may evaluate another number of gradients of a run than one."""
        return self._needs_objective or self._blurred

    def accepts(self, proposed: ProposedStep) -> torch.Tensor:
        """Return, per run, whether its rule can use the gradient of a step: ``[R]`` of type bool."""
        return self._joined(
            torch.ones_like(proposed.norm, dtype=torch.bool),
            [group.accepts(g) for group, g in zip(self._groups, proposed.used, strict=True)],
        )

    def _mixed(
        self, theta: torch.Tensor, step: int, x: torch.Tensor, y: torch.Tensor, rates: list[float]
    ) -> ProposedStep:
        """Compute a step in which some rules evaluate the objective: each group on its own rows."""
        points, losses, gradients, used, afters, states = [], [], [], [], [], []
        notes: dict[int, str] = {}
        evaluations = [1] * len(self._seeds)
        for group in self._groups:
            its_theta, its_x, its_y = group.select(theta), group.select(x), group.select(y)
            if group.needs_objective:
                objective = self._objective.selected(group.rows)
                on_batch = batch_objective(objective, its_x, its_y, group.seeds, step)
                on_batch.whole = self._whole_of(group)
                if self._rows is not None and group.needs_examples:
                    on_batch.rows = group.select(self._rows.at(step))
                outcome = group.step_on_objective(its_theta, on_batch)
                # Of the parameters before the step, wherever the rule has evaluated since.
                values: Mapping[str, torch.Tensor] = objective.state_after(
                    its_theta, its_x, group.seeds, step
                )
                counted: Sequence[int] = on_batch.gradients
                point, loss, gradient = its_theta, outcome.loss, outcome.gradient
                added = objective.added(its_theta, its_x, its_y)
                if added is not None:
                    # Part of the value that the rule saw, but not of the reported loss.
                    loss = loss - added
                g, after, state = gradient, outcome.theta, outcome.state
                notes |= {
                    row: note for row, note in zip(group.rows, outcome.notes, strict=False) if note
                }
            else:
                point = group.point(its_theta, step)
                loss, gradient, values = self._gradient.at(point, step, its_x, its_y, group.rows)
                counted = self._gradient.evaluations(step, group.rows)
                g = group.clip(gradient, torch.linalg.vector_norm(gradient, dim=1))
                after, state = group.update(its_theta, g)
            for row, count in zip(group.rows, counted, strict=True):
                evaluations[row] = count
            points.append(point)
            losses.append(loss.unsqueeze(1))
            gradients.append(gradient)
            used.append(g)
            afters.append(after)
            states.append(group.with_values(state, values))
        loss = self._joined(theta[:, :1], losses).squeeze(1)
        gradient = self._joined(theta, gradients)
        norm = torch.linalg.vector_norm(gradient, dim=1)
        point, after = self._joined(theta, points), self._joined(theta, afters)
        return ProposedStep(
            point,
            loss,
            gradient,
            norm,
            used,
            after,
            states,
            rates,
            notes,
            self._clipped(gradient, norm),
            evaluations,
        )

    def _whole_of(self, group: Group) -> WholeGradient | None:
        """Return the gradient on all training examples of the runs of a group."""
        whole = self._whole
        if whole is None:
            return None
        return lambda theta, runs: whole(theta, [group.rows[run] for run in runs])

    def _clipped(self, gradient: torch.Tensor, norm: torch.Tensor) -> torch.Tensor | None:
        """Return the share of clipped components; see :class:`ProposedStep`."""
        if not self._clipping:
            return None
        return self._joined(
            norm,
            [group.clipped(group.select(gradient), group.select(norm)) for group in self._groups],
        )

    def _joined(self, like: torch.Tensor, parts: list[torch.Tensor]) -> torch.Tensor:
        """Return rows of the groups in the order of the runs."""
        if len(parts) == 1:
            return parts[0]
        joined = torch.empty_like(like)
        for group, part in zip(self._groups, parts, strict=True):
            joined[group.index] = part
        return joined
