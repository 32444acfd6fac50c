"""A population: R runs on one ``theta [R, P]``, and what may differ between them.

Runs share data, model, loss, batch size, budget and device; they may differ in seed, start,
optimizer and its hyperparameters, schedule, clipping and sampling order. Runs with the same rule
form a group whose hyperparameters are columns ``[R, 1]``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from optlab.catalogue.averaging.base import Averaging
from optlab.catalogue.clipping.base import Clipping
from optlab.catalogue.delays.base import Delay
from optlab.catalogue.instruments.base import INSTRUMENTS
from optlab.catalogue.optimizers.base import ObjectiveOptimizer, Optimizer, Outcome, State
from optlab.catalogue.schedules.base import Schedule
from optlab.catalogue.stopping.base import Stopping
from optlab.core.component import Component
from optlab.core.errors import InvalidInput
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.experiment.sections import SHARED_SECTIONS, General
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.seeding import generators
from optlab.training.snapshot import INSTRUMENT, NORM_AT_START


def check_compatible(experiments: Sequence[Experiment]) -> None:
    """Whether the experiments can be run as one population.

    Raises:
        InvalidInput: they differ in something that a population shares.
    """
    first = experiments[0]
    for number, other in enumerate(experiments[1:], start=2):
        for section in (*SHARED_SECTIONS, INSTRUMENTS):
            if getattr(other, section) != getattr(first, section):
                raise InvalidInput(
                    f"Run {number} of a population differs from run 1 in [{section}], which all runs of a population share.",
                    section,
                )
        for field in ("device", "precision", "threads"):
            if getattr(other.general, field) != getattr(first.general, field):
                raise InvalidInput(
                    f"Run {number} of a population differs from run 1 in {field}, which all runs of a population share.",
                    field,
                )
        if other.batches.size != first.batches.size:
            raise InvalidInput(
                f"Run {number} of a population differs from run 1 in batches.size, which all runs of a population share.",
                "batches.size",
            )


class Member(Protocol):
    """What a group has to know of a run: the parts of an :class:`Experiment` that make its steps; a
    race on a surface has no others.
    """

    @property
    def optimizer(self) -> Optimizer: ...
    @property
    def schedule(self) -> Schedule: ...
    @property
    def clipping(self) -> Clipping: ...
    @property
    def averaging(self) -> Averaging: ...
    @property
    def delay(self) -> Delay: ...
    @property
    def stopping(self) -> Stopping: ...
    @property
    def general(self) -> General: ...


class Group:
    """Runs of a population that share an update rule, a clipping rule and an average.

    The state of everything that remembers is one dictionary, so that freezing, keeping and
    restoring a run need to know of one thing: the rule's own entries have plain names, those of the
    average begin with ``averaging.``, ``delay.i`` are the parameters of i steps ago, and
    ``best.theta`` are those of the best evaluation where the stopping rule keeps them.

    Attributes:
        rows: which runs, as a Python list; index: the same as a tensor, or None where it is all of
            them in order.
        h, clip_h, averaging_h: hyperparameters: numbers where all runs agree, else columns
            ``[len(rows), 1]``.
        state: see above; every tensor has a leading run axis.
        memories: what the schedules of the rows remember of the evaluations.
    """

    def __init__(
        self, rows: list[int], experiments: Sequence[Member], theta: torch.Tensor, layout: Layout
    ) -> None:
        self.rows = rows
        self._layout = layout
        everyone = rows == list(range(len(experiments)))
        self.index = None if everyone else torch.tensor(rows, device=theta.device)
        self.memories: list[Mapping[str, float]] = [{} for _ in rows]
        self.refresh(experiments, theta)
        here = self.select(theta)
        self.h.step = 1
        self.state: State = dict(self.optimizer.begin(here, self.h))
        self.state |= {
            f"{_AVERAGING}{name}": value for name, value in self.averaging.start(here).items()
        }
        self.state |= {f"{_DELAY}{age}": here for age in range(1, self._longest + 1)}
        if self._keeps_best:
            self.state[_BEST] = here

    def refresh(self, experiments: Sequence[Member], theta: torch.Tensor) -> None:
        """Read the hyperparameters anew from the experiments as they stand now."""
        members = [experiments[row] for row in self.rows]
        self.optimizer = members[0].optimizer
        self.clipping = members[0].clipping
        self.averaging = members[0].averaging
        self.delays = [member.delay for member in members]
        self._longest = max(delay.longest() for delay in self.delays)
        self._keeps_best = members[0].stopping.keeps_best
        self._simple = not self.averaging.active and self._longest == 0 and not self._keeps_best
        self.h = _columns([member.optimizer for member in members], theta)
        self.h.layout = self._layout
        self.clip_h = _columns([member.clipping for member in members], theta)
        self.averaging_h = _columns([member.averaging for member in members], theta)
        self.seeds = [member.general.seed for member in members]
        self._schedules = [member.schedule for member in members]
        self._watching = any(schedule.watches for schedule in self._schedules)
        self._rates = [float(getattr(member.optimizer, "lr", 0.0)) for member in members]
        self._theta = theta

    def schedule(self, step: int) -> list[float]:
        """Set the rates and ``h.step`` for the step after ``step``; the rates, one a run."""
        self.h.step = self.averaging_h.step = step + 1
        if self._watching:
            given = zip(self._schedules, self._rates, self.memories, strict=True)
            rates = [schedule.rate_given(lr, step, memory) for schedule, lr, memory in given]
        else:
            rates = [
                schedule.rate(lr, step)
                for schedule, lr in zip(self._schedules, self._rates, strict=True)
            ]
        self.h.lr = _number_or_column(rates, self._theta)
        return rates

    def observe(self, values: Mapping[str, Sequence[float]]) -> None:
        """Let schedules that watch see an evaluation: series → value of every run of the
        population.
        """
        if self._watching:
            here = [{name: column[row] for name, column in values.items()} for row in self.rows]
            seen = zip(self._schedules, self.memories, here, strict=True)
            self.memories = [schedule.observed(memory, its) for schedule, memory, its in seen]

    def remembered(self, run: int) -> dict[str, float]:
        """What the schedule of a run remembers, as a snapshot holds it."""
        return {
            f"{_SCHEDULE}{name}": value
            for name, value in self.memories[self.rows.index(run)].items()
        }

    def select(self, tensor: torch.Tensor) -> torch.Tensor:
        """The rows of this group."""
        return tensor if self.index is None else tensor[self.index]

    def point(self, theta: torch.Tensor, step: int) -> torch.Tensor:
        """Where the group's gradients are taken, ``[len(rows), P]``, from its parameters ``theta``."""
        return self.optimizer.point(self._stale(theta, step), self._own(), self.h)

    def update(
        self, theta: torch.Tensor, g: torch.Tensor, norm: torch.Tensor
    ) -> tuple[torch.Tensor, State]:
        """Parameters and state after a step with the gradients ``g`` of norm ``[len(rows)]``."""
        if self.clipping.active:
            g = self.clipping.clip(g, norm, self.clip_h)
        after, own = self.optimizer.update(theta, g, self._own(), self.h)
        return after, self._with_strategies(theta, after, own)

    def clipped(self, g: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
        """Share ``[len(rows)]`` of the components of the gradients ``g`` that clipping changes."""
        return self.clipping.touched(g, norm, self.clip_h)

    def ask(self, theta: torch.Tensor, objective: BatchObjective) -> Outcome:
        """The step of a rule that asks the objective itself."""
        assert isinstance(self.optimizer, ObjectiveOptimizer)
        outcome = self.optimizer.step(theta, objective, self._own(), self.h)
        return dataclasses.replace(
            outcome, state=self._with_strategies(theta, outcome.theta, outcome.state)
        )

    @property
    def asks(self) -> bool:
        """Whether the rule asks the objective itself."""
        return isinstance(self.optimizer, ObjectiveOptimizer)

    def average(self) -> torch.Tensor | None:
        """The averaged parameters ``[len(rows), P]``, or None."""
        return self.state.get(f"{_AVERAGING}average")

    def best(self, run: int) -> torch.Tensor:
        """The parameters ``[P]`` of a run's best evaluation."""
        return self.state[_BEST][self.rows.index(run)]

    def with_best(self, state: State, run: int, theta: torch.Tensor) -> State:
        """``state`` with these parameters ``[P]`` as those of the run's best evaluation."""
        best = state[_BEST].clone()
        best[self.rows.index(run)] = theta
        return {**state, _BEST: best}

    def _own(self) -> State:
        """The rule's own entries."""
        return (
            self.state
            if self._simple
            else {
                name: value
                for name, value in self.state.items()
                if not name.startswith((_AVERAGING, _DELAY, _BEST))
            }
        )

    def _with_strategies(self, theta: torch.Tensor, after: torch.Tensor, own: State) -> State:
        if self._simple:
            return own
        state = dict(own)
        if self.averaging.active:
            before = {
                name.removeprefix(_AVERAGING): value
                for name, value in self.state.items()
                if name.startswith(_AVERAGING)
            }
            averaged = self.averaging.update(before, after, self.averaging_h)
            state |= {f"{_AVERAGING}{name}": value for name, value in averaged.items()}
        if self._keeps_best:
            state[_BEST] = self.state[_BEST]
        if self._longest:
            state[f"{_DELAY}1"] = theta
            state |= {
                f"{_DELAY}{age}": self.state[f"{_DELAY}{age - 1}"]
                for age in range(2, self._longest + 1)
            }
        return state

    def _stale(self, theta: torch.Tensor, step: int) -> torch.Tensor:
        """The parameters that the gradient is taken at, as old as each run's delay says."""
        if self._longest == 0:
            return theta
        ages = [
            min(delay.staleness(step, generators(seed)), step)
            for delay, seed in zip(self.delays, self.seeds, strict=True)
        ]
        past = [theta if age == 0 else self.state[f"{_DELAY}{age}"] for age in ages]
        return (
            past[0]
            if len(set(ages)) == 1
            else torch.stack([whole[row] for row, whole in enumerate(past)])
        )


_AVERAGING, _DELAY, _BEST = "averaging.", "delay.", "best.theta"
_SCHEDULE = "schedule."


def divided(memory: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """What a snapshot remembers: the stopping rule's part, and the schedule's; the rest is
    neither's.
    """
    schedules = {
        name.removeprefix(_SCHEDULE): value
        for name, value in memory.items()
        if name.startswith(_SCHEDULE)
    }
    return {
        name: value
        for name, value in memory.items()
        if not name.startswith((_SCHEDULE, INSTRUMENT, NORM_AT_START))
    }, schedules


def groups(experiments: Sequence[Member], theta: torch.Tensor, layout: Layout) -> list[Group]:
    """The groups of a population."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for row, experiment in enumerate(experiments):
        parts = (experiment.optimizer, experiment.clipping, experiment.averaging)
        shaping = [getattr(experiment.optimizer, name) for name in experiment.optimizer.fixed]
        key = (
            *(value for part in parts for value in (type(part), *_discrete(part))),
            *shaping,
            experiment.delay.longest(),
            experiment.stopping.keeps_best,
        )
        found.setdefault(key, []).append(row)
    return [Group(rows, experiments, theta, layout) for rows in found.values()]


def _discrete(component: Component) -> list[Any]:
    """Values that cannot be columns: switches, choices, texts and lists."""
    return [
        getattr(component, field.name)
        for field in component.fields()
        if field.kind not in ("number", "integer")
    ]


def _columns(members: Sequence[Component], theta: torch.Tensor) -> Hyperparameters:
    values: dict[str, Any] = {}
    for field in members[0].fields():
        everyone = [getattr(member, field.name) for member in members]
        values[field.name] = (
            _number_or_column(everyone, theta)
            if field.kind in ("number", "integer")
            else everyone[0]
        )
    return Hyperparameters(**values)


def _number_or_column(values: list[float], theta: torch.Tensor) -> Any:
    if all(value == values[0] for value in values):
        return values[0]
    return torch.tensor(values, dtype=theta.dtype, device=theta.device).unsqueeze(1)
