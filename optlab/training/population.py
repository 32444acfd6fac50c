"""A population: R runs on one ``theta [R, P]``, and what may differ between them.

Runs share model, batch size, measures and device; they may differ in seed, start, optimizer and its
hyperparameters, schedules, clipping, loss, continuation, sampling order and number of steps, and in
their data where shapes and numbers of examples agree. The trainer, races on a surface and
demonstrations all drive their runs through a population: it proposes a step, they decide for which
runs to accept it.

Batches of different sizes have no tensor in common, and their epochs and evaluations no step: such
runs would be populations of their own inside a session, one gradient evaluation each, with nothing
gained over sessions of their own, which can run at the same time.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from optlab.catalogue.continuation.base import Continuation
from optlab.catalogue.instruments.base import INSTRUMENTS, Stability
from optlab.catalogue.optimizers.base import State
from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.experiment.sections import SHARED_SECTIONS
from optlab.objective.batch_objective import BatchRows, WholeGradient
from optlab.objective.objective import Objective
from optlab.training.decay_schedule import DecaySchedule, its_schedules
from optlab.training.groups import Begun, Group, Member, groups
from optlab.training.restoring import Carried, restore_groups
from optlab.training.snapshot import Snapshot
from optlab.training.stability import stability_of
from optlab.training.stepping import ProposedStep, Stepper

_WHOLE_SECTIONS = (*SHARED_SECTIONS, INSTRUMENTS)
_GENERAL_FIELDS = ("device", "precision", "threads", "compiled")


def population_key(experiment: Experiment) -> Hashable:
    """Return what an experiment shares with all others of a population.

    Experiments can be run as one population if and only if their keys are equal.
    """
    return tuple(_shared(experiment).items())


def check_compatible(experiments: Sequence[Experiment]) -> None:
    """Check that the experiments can be run as one population.

    Raises:
        InvalidInput: they differ in something that a population shares.
    """
    first = _shared(experiments[0])
    for number, experiment in enumerate(experiments[1:], start=2):
        for path, value in _shared(experiment).items():
            if value != first[path]:
                what = f"[{path}]" if path in _WHOLE_SECTIONS else path
                raise InvalidInput(
                    f"Run {number} of a population differs from run 1 in {what}, which all "
                    "runs of a population share.",
                    path,
                )


def _shared(experiment: Experiment) -> dict[str, Hashable]:
    """Return path → value of everything that is the same in all runs of a population."""
    dataset = experiment.dataset
    values_alone = dataset.fields_of_values()
    return {
        "dataset.name": dataset.name,
        **{
            f"dataset.{field.name}": getattr(dataset, field.name)
            for field in dataset.fields()
            if field.name not in values_alone
        },
        **{section: getattr(experiment, section) for section in _WHOLE_SECTIONS},
        **{field: getattr(experiment.general, field) for field in _GENERAL_FIELDS},
        "batches.size": experiment.batches.size,
        "budget.seconds": experiment.budget.seconds,
    }


class PopulationState(NamedTuple):
    """The state of a population between two steps.

    Attributes:
        theta: parameters ``[R, P]``. groups: the state of each group.
    """

    theta: torch.Tensor
    groups: list[State]


class Population:
    """R runs on one objective: their parameters, their groups and the states of these.

    Args:
        members: the runs. theta: their starts ``[R, P]``. continuations: of each run, what blurs
            its objective; () where nothing does. step: number of steps already taken. begun: of
            each run, where its state began; () for all at step 0.
        whole: the gradient on all training examples; None where a batch is all there is.
        rows: where the examples of the batches are in the training sets; None likewise.

    Attributes:
        theta: parameters ``[R, P]`` after ``step`` steps. groups: runs that share a rule.
    """

    def __init__(
        self,
        objective: Objective,
        members: Sequence[Member],
        theta: torch.Tensor,
        continuations: Sequence[Continuation] = (),
        step: int = 0,
        begun: Sequence[Begun] = (),
        whole: WholeGradient | None = None,
        rows: BatchRows | None = None,
    ) -> None:
        self._objective = objective
        self._whole = whole
        self._rows = rows
        self._continuations = continuations
        self.theta = theta
        self.step = step
        states = objective.states
        values = {} if states is None else states.like(theta)
        count = None if rows is None else rows.examples
        self.groups = groups(members, theta, objective.layout, begun, values, count)
        seeds = [member.general.seed for member in members]
        self._stepper = Stepper(objective, self.groups, continuations, seeds, whole, rows)
        self._decay = DecaySchedule(members) if any(map(its_schedules, members)) else None
        self._set_decay()
        self.show_values()

    def propose(self, x: torch.Tensor, y: torch.Tensor) -> ProposedStep:
        """Compute the next step on the batch ``x``, ``y`` ``[R, m, …]``, without taking it."""
        self._set_decay()  # another population may have used the objective since
        self.show_values()
        return self._stepper.propose(self.theta, self.step, x, y)

    def propose_at(
        self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor, rates: list[float]
    ) -> ProposedStep:
        """Compute the next step from ``theta`` ``[R, P]``, when :meth:`rates` has set its rates."""
        return self._stepper.propose_at(theta, self.step, x, y, rates)

    def begin_step(self) -> list[float]:
        """Set what differs from step to step; return the learning rates, one a run."""
        self._set_decay()  # another population may have used the objective since
        self.show_values()
        return self.rates()

    @property
    def obstacle(self) -> str:
        """Why steps do not all consist of the same operations, a clause.

        "" where they do, as far as is known beforehand.
        """
        if self._decay is not None:
            return "weight decay follows a schedule"
        if self._objective.states is not None:
            return "the model draws random numbers or has values beside its parameters"
        return self._stepper.obstacle

    def accepts(self, proposed: ProposedStep) -> torch.Tensor:
        """Return, per run, whether its rule can use the gradient of a step: ``[R]`` of type bool.

        A rule that cannot may still propose finite parameters: one that moves by signs, or whose
        line search finds no lower point.
        """
        return self._stepper.accepts(proposed)

    def accept(
        self,
        proposed: ProposedStep,
        mask: torch.Tensor | None = None,
        fallback: PopulationState | None = None,
    ) -> None:
        """Take a proposed step, in all runs or in those where ``mask`` ``[R]`` is true.

        Args:
            fallback: the state that the other runs get; by default they keep their own.
        """
        theta, states = proposed.after, proposed.states
        if mask is not None:
            theta, states = self.where(
                mask,
                PopulationState(theta, states),
                self.state if fallback is None else fallback,
            )
        self.theta = theta
        for group, state in zip(self.groups, states, strict=True):
            group.state = state
        self.step += 1
        self._set_decay()
        self.show_values()

    def indices(self, runs: Collection[int]) -> list[torch.Tensor]:
        """Return the indices ``[n]`` of runs in the population, then in each of its groups."""
        device = self.theta.device
        return [
            torch.tensor(sorted(runs), dtype=torch.int64, device=device),
            *(
                torch.tensor(
                    [row for row, run in enumerate(group.rows) if run in runs],
                    dtype=torch.int64,
                    device=device,
                )
                for group in self.groups
            ),
        ]

    def put_back(self, proposed: ProposedStep, indices: Sequence[torch.Tensor]) -> None:
        """Overwrite a proposed step in some runs with what they are before it.

        Args:
            indices: of the runs, ``[n]`` each; see :meth:`indices`.
        """
        runs, *rows = indices
        proposed.after.index_copy_(0, runs, self.theta.index_select(0, runs))
        for group, state, its in zip(self.groups, proposed.states, rows, strict=True):
            for name, value in state.items():
                value.index_copy_(0, its, group.state[name].index_select(0, its))

    def show_values(self) -> None:
        """Show the objective what the model of each run has beside its parameters."""
        states = self._objective.states
        if states is None:
            return
        values = self.groups[0].values()
        if len(self.groups) > 1:
            values = {
                name: value.new_empty(len(self.theta), *value.shape[1:])
                for name, value in values.items()
            }
            for group in self.groups:
                for name, value in group.values().items():
                    values[name][group.rows] = value
        self._objective.states = replace(states, values=values)

    def restore(self, snapshots: Sequence[Snapshot]) -> dict[int, Carried]:
        """Give the runs the states of their snapshots; see :func:`restoring.restore_groups`."""
        carried = restore_groups(self.groups, snapshots)
        self.show_values()
        return carried

    def set_values(self, values: Mapping[str, torch.Tensor]) -> None:
        """Set what the model of each run has beside its parameters, name → values ``[R, …]``."""
        for group in self.groups:
            its_values = {name: group.select(value) for name, value in values.items()}
            group.state = group.with_values(group.state, its_values)
        self.show_values()

    def _set_decay(self) -> None:
        """Give the objective the weight decay of the next step, where it follows a schedule."""
        if self._decay is not None:
            self._objective.set_losses(self._decay.losses(self.step))

    @property
    def state(self) -> PopulationState:
        """The current parameters and states."""
        return PopulationState(self.theta, [group.state for group in self.groups])

    @state.setter
    def state(self, state: PopulationState) -> None:
        self.theta = state.theta
        for group, own in zip(self.groups, state.groups, strict=True):
            group.state = own

    def where(
        self, mask: torch.Tensor, state: PopulationState, other: PopulationState
    ) -> PopulationState:
        """Return, run by run, ``state`` where ``mask`` ``[R]`` is true and ``other`` elsewhere."""
        chosen: list[State] = []
        for group, first, second in zip(self.groups, state.groups, other.groups, strict=True):
            rows = group.select(mask)
            chosen.append(
                {
                    name: torch.where(rows.view(-1, *[1] * (value.dim() - 1)), value, second[name])
                    for name, value in first.items()
                }
            )
        return PopulationState(torch.where(mask.unsqueeze(1), state.theta, other.theta), chosen)

    def group_of(self, run: int) -> tuple[Group, int]:
        """Return the group of a run, and the run's row in it."""
        group = next(group for group in self.groups if run in group.rows)
        return group, group.rows.index(run)

    def single(self, run: int, member: Member, step: int) -> Population:
        """Return a population of one run alone, in its current state, before step ``step``."""
        group, row = self.group_of(run)
        theta = self.theta[run : run + 1]
        continuations = self._continuations[run : run + 1]
        whole, rows = self._whole, self._rows
        alone = Population(
            self._objective.selected([run]),
            [member],
            theta,
            continuations,
            step,
            [group.begun],
            None if whole is None else lambda at, _: whole(at, [run]),
            None
            if rows is None
            else BatchRows(rows.examples, lambda step: rows.at(step)[run : run + 1]),
        )
        (single,) = alone.groups
        single.state = {name: value[row : row + 1] for name, value in group.state.items()}
        single.memories = [group.memories[row]]
        alone.show_values()
        return alone

    @property
    def counts_gradients(self) -> bool:
        """Whether a step may evaluate another number of gradients of a run than one."""
        return self._stepper.counts

    def rates(self) -> list[float]:
        """Return the learning rates of the next step, one a run."""
        return self._stepper.rates(self.step)

    def stability(self) -> Stability | None:
        """Return up to which curvature the rules are stable; see :func:`stability_of`."""
        return stability_of(self.groups, self.theta, self.step)

    def refresh(self, members: Sequence[Member]) -> None:
        """Read the hyperparameters again from changed members."""
        for group in self.groups:
            group.refresh(members, self.theta)

    def observe(self, values: Mapping[str, Sequence[float]]) -> None:
        """Show an evaluation to the schedules that watch: series name → value of every run."""
        for group in self.groups:
            group.observe(values)

    def averaged(self) -> torch.Tensor | None:
        """Return averaged parameters ``[R, P]``; None where no run has an average.

        Runs without one have their iterates.
        """
        return self._with_iterates([group.average() for group in self.groups])

    def shown_point(self) -> torch.Tensor | None:
        """Return where the next gradients are evaluated ``[R, P]``; None where no run shows it.

        Runs that do not show it have their iterates.
        """
        return self._with_iterates(
            [group.shown_point(group.select(self.theta)) for group in self.groups]
        )

    def _with_iterates(self, parts: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
        """Return the rows of the groups together, and iterates where a group has none."""
        if all(part is None for part in parts):
            return None
        joined = self.theta.clone()
        for group, part in zip(self.groups, parts, strict=True):
            if part is not None:
                joined[group.rows] = part
        return joined

    def keep_best(self, run: int, state: PopulationState) -> PopulationState:
        """Keep the parameters of a run as those of its best evaluation.

        Returns:
            ``state`` with them kept there, too.
        """
        kept = list(state.groups)
        for index, group in enumerate(self.groups):
            if run in group.rows:
                group.state = group.with_best(group.state, run, self.theta[run])
                kept[index] = group.with_best(kept[index], run, self.theta[run])
        return PopulationState(state.theta, kept)

    def restore_best(self, run: int) -> None:
        """Put a run back to the parameters of its best evaluation."""
        theta = self.theta.clone()
        group, _ = self.group_of(run)
        theta[run] = group.best(run)
        self.theta = theta
        group.restore_best_values(run)
        self.show_values()
