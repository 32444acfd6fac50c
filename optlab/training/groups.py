"""Groups: the runs of a population that share an update rule.

The hyperparameters of a group are numbers where its runs agree, else columns ``[R, 1]``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from optlab.catalogue.averaging.base import Averaging
from optlab.catalogue.clipping.base import Clipping
from optlab.catalogue.delays.base import Delay
from optlab.catalogue.optimizers.base import ObjectiveOptimizer, Optimizer, Outcome, State
from optlab.catalogue.schedules.base import Schedule
from optlab.catalogue.stopping.base import Stopping
from optlab.core.component import Component
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout
from optlab.core.lazy import torch
from optlab.core.piecewise import Piecewise
from optlab.experiment.schedules import FieldSchedule
from optlab.experiment.sections import General
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.device import uploaded
from optlab.objective.run_states import MODEL
from optlab.objective.seeding import generators
from optlab.training.snapshot import SCHEDULE
from optlab.training.state_names import AVERAGING, BEST, BEST_MODEL, DELAY, is_own


class Begun(NamedTuple):
    """Steps at which the state of a run began, other than 0 in a fork that did not take it over.

    A rule counts its own steps from there: one that corrects the bias of averages that begin at
    zero would not do so at step 500.
    """

    optimizer: int = 0
    averaging: int = 0


class Member(Protocol):
    """What a group needs of a run: the parts of an :class:`Experiment` that define its steps.

    A race on a surface has no others.
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
    @property
    def schedules(self) -> tuple[FieldSchedule, ...]: ...


class ScheduledColumn(NamedTuple):
    """A hyperparameter that follows a schedule in at least one run.

    Attributes:
        section, name: of the field. bases: its own value in each run. functions: the schedule of
            each run, None where the field has none.
    """

    section: str
    name: str
    bases: list[float]
    functions: list[Piecewise | None]

    def at(self, step: int) -> list[float]:
        """Return the value of each run at a step."""
        return [
            base if function is None else function.at(step, base)
            for base, function in zip(self.bases, self.functions, strict=True)
        ]


_AT_START = Begun()


class Group:
    """Runs of a population that share an update rule, a clipping rule and an average.

    Everything with a state shares one dictionary, so that freezing, keeping and restoring a run
    deal with one object: the rule's own entries have plain names, those of the average begin with
    ``averaging.``, ``delay.i`` are the parameters of i steps ago, and ``best.theta`` are those of
    the best evaluation where the stopping rule keeps them. Entries ``model.name`` are what the
    model has beside its parameters.

    Args:
        rows: indices of the runs. experiments: all runs of the population. theta: ``[R, P]``.
        begun: the same for all rows. values: of the model beside its parameters, ``[R, …]``.
        examples: of a training set; None where a batch is all there is, which then counts as one.

    Attributes:
        index: the rows as a tensor, or None where they are all runs in order.
        h, clip_h, averaging_h: hyperparameters: numbers where all runs agree, else columns
            ``[len(rows), 1]``.
        state: see above; every tensor has a leading run axis.
        memories: what the schedules of the rows remember of the evaluations.
        simple: whether the state is the rule's own alone, and no gradient is stale.
        obstacle: why steps do not all consist of the same operations, a clause; "" where they may.
    """

    def __init__(
        self,
        rows: list[int],
        experiments: Sequence[Member],
        theta: torch.Tensor,
        layout: Layout,
        begun: Begun = _AT_START,
        values: Mapping[str, torch.Tensor] | None = None,
        examples: int | None = None,
    ) -> None:
        self.rows = rows
        self._model_names = tuple(values or ())
        self.begun = begun
        self._layout, self._examples = layout, examples or 1
        all_runs = rows == list(range(len(experiments)))
        self.index = None if all_runs else torch.tensor(rows, device=theta.device)
        self.memories: list[Mapping[str, float]] = [{} for _ in rows]
        self.refresh(experiments, theta)
        its_theta = self.select(theta)
        self.h.step = 1
        self.state: State = dict(self.optimizer.begin(its_theta, self.h))
        self.state |= {
            f"{AVERAGING}{name}": value for name, value in self.averaging.start(its_theta).items()
        }
        self.state |= {f"{DELAY}{age}": its_theta for age in range(1, self._max_delay + 1)}
        of_model = {name: self.select(value) for name, value in (values or {}).items()}
        self.state |= {f"{MODEL}{name}": value for name, value in of_model.items()}
        if self._keeps_best:
            self.state[BEST] = its_theta
            self.state |= {f"{BEST_MODEL}{name}": value for name, value in of_model.items()}

    def refresh(self, experiments: Sequence[Member], theta: torch.Tensor) -> None:
        """Read the hyperparameters again from the current experiments.

        Args:
            theta: ``[R, P]``, for device and precision.
        """
        members = [experiments[row] for row in self.rows]
        self.optimizer = members[0].optimizer
        self.clipping = members[0].clipping
        self.averaging = members[0].averaging
        self.delays = [member.delay for member in members]
        self._max_delay = max(delay.longest() for delay in self.delays)
        self._keeps_best = members[0].stopping.keeps_best
        reasons = {
            "gradients are delayed": self._max_delay,
            "the model has values beside its parameters": self._model_names,
        }
        self.obstacle = next((reason for reason, holds in reasons.items() if holds), "")
        self.simple = not (self.obstacle or self.averaging.active or self._keeps_best)
        self.h = _columns([member.optimizer for member in members], theta)
        self.h.layout, self.h.examples = self._layout, self._examples
        self.clip_h = _columns([member.clipping for member in members], theta)
        self.averaging_h = _columns(
            [_beginning(member.averaging, self.begun.averaging) for member in members], theta
        )
        self.seeds = self.h.seeds = [member.general.seed for member in members]
        self._schedules = [member.schedule for member in members]
        self._watching = any(schedule.watches for schedule in self._schedules)
        self._rates = [float(getattr(member.optimizer, "lr", 0.0)) for member in members]
        self._scheduled = list(_scheduled(members))
        self._theta = theta
        self._constant = all(schedule.constant for schedule in self._schedules)
        if self._constant:
            self.h.lr = _number_or_column(self._rates, theta)

    def schedule(self, step: int) -> list[float]:
        """Set what follows a schedule, and ``h.step``, for the step after ``step``.

        Returns:
            The learning rates, one a run.
        """
        self.h.step, self.averaging_h.step = step + 1 - self.begun.optimizer, step + 1
        rates = self._rates if self._constant else self.rates_at(step)
        if not self._constant:
            self.h.lr = _number_or_column(rates, self._theta)
        for column in self._scheduled:
            values = _number_or_column(column.at(step), self._theta)
            setattr(self._hyperparameters(column.section), column.name, values)
        return rates

    def rates_at(self, step: int) -> list[float]:
        """Return the learning rates of the step after ``step``, one a run."""
        if self._constant:
            return self._rates
        if self._watching:
            members = zip(self._schedules, self._rates, self.memories, strict=True)
            return [schedule.rate_given(lr, step, memory) for schedule, lr, memory in members]
        schedules = zip(self._schedules, self._rates, strict=True)
        return [schedule.rate(lr, step) for schedule, lr in schedules]

    def varying(self) -> Iterator[tuple[str, Hyperparameters, str]]:
        """Yield what :meth:`schedule` sets: section, hyperparameters, name of a field."""
        yield "optimizer", self.h, "step"
        if self.averaging.active:
            yield "averaging", self.averaging_h, "step"
        if not self._constant:
            yield "optimizer", self.h, "lr"
        for column in self._scheduled:
            yield column.section, self._hyperparameters(column.section), column.name

    def varying_at(self, step: int) -> Iterator[list[float]]:
        """Yield the values, one a run, that :meth:`schedule` sets of what :meth:`varying` yields."""
        yield [step + 1 - self.begun.optimizer] * len(self.rows)
        if self.averaging.active:
            yield [step + 1] * len(self.rows)
        if not self._constant:
            yield self.rates_at(step)
        for column in self._scheduled:
            yield column.at(step)

    def observe(self, values: Mapping[str, Sequence[float]]) -> None:
        """Show an evaluation to the schedules that watch: series → value of every run."""
        if self._watching:
            its_values = [
                {name: column[row] for name, column in values.items()} for row in self.rows
            ]
            members = zip(self._schedules, self.memories, its_values, strict=True)
            self.memories = [schedule.observed(memory, its) for schedule, memory, its in members]

    def schedule_memory(self, run: int) -> dict[str, float]:
        """Return what the schedule of a run remembers, as a snapshot holds it."""
        return {
            f"{SCHEDULE}{name}": value
            for name, value in self.memories[self.rows.index(run)].items()
        }

    def select(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the rows of this group ``[len(rows), …]`` of a tensor ``[R, …]``."""
        return tensor if self.index is None else tensor[self.index]

    def point(self, theta: torch.Tensor, step: int) -> torch.Tensor:
        """Return the points ``[len(rows), P]`` of the group's gradients, from its ``theta``."""
        return self.optimizer.point(self._stale(theta, step), self.own_state(), self.h)

    def clip(self, g: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
        """Return gradients ``g`` ``[len(rows), P]`` of norms ``[len(rows)]`` after clipping."""
        return self.clipping.clip(g, norm, self.clip_h) if self.clipping.active else g

    def update(self, theta: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, State]:
        """Return parameters and state after a step.

        Args:
            theta: ``[len(rows), P]``. g: gradients after clipping, of the same shape.
        """
        after, own = self.optimizer.update(theta, g, self.own_state(), self.h)
        return after, self._with_strategies(theta, after, own)

    def clipped(self, g: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
        """Return the share ``[len(rows)]`` of the gradients' components that are clipped."""
        return self.clipping.clipped_share(g, norm, self.clip_h)

    def accepts(self, g: torch.Tensor) -> torch.Tensor:
        """Return, per run, whether the rule can use a gradient: ``[len(rows)]``, of type bool.

        It cannot where the gradient is not finite after clipping, unless the rule does without.

        Args:
            g: gradients ``[len(rows), P]`` after clipping.
        """
        if isinstance(self.optimizer, ObjectiveOptimizer) and self.optimizer.gradient_free:
            return torch.ones(len(g), dtype=torch.bool, device=g.device)
        return torch.isfinite(g).all(dim=1)

    def step_on_objective(self, theta: torch.Tensor, objective: BatchObjective) -> Outcome:
        """Take the step of a rule that evaluates the objective itself.

        Args:
            theta: ``[len(rows), P]``.
        """
        assert isinstance(self.optimizer, ObjectiveOptimizer)
        outcome = self.optimizer.step(theta, objective, self.own_state(), self.h)
        return dataclasses.replace(
            outcome, state=self._with_strategies(theta, outcome.theta, outcome.state)
        )

    @property
    def needs_examples(self) -> bool:
        """Whether the rule remembers something of each example."""
        return isinstance(self.optimizer, ObjectiveOptimizer) and self.optimizer.needs_examples

    @property
    def needs_objective(self) -> bool:
        """Whether the rule evaluates the objective itself."""
        return isinstance(self.optimizer, ObjectiveOptimizer)

    def average(self) -> torch.Tensor | None:
        """Return the averaged parameters ``[len(rows), P]``, or None.

        They are those of the section ``averaging``, else those that the rule itself keeps.
        """
        if self.averaging.active:
            return self.state[f"{AVERAGING}average"]
        return self.optimizer.average(self.own_state())

    def shown_point(self, theta: torch.Tensor) -> torch.Tensor | None:
        """Return where the next gradient is evaluated, if it is recorded, ``[len(rows), P]``."""
        return (
            self.optimizer.point(theta, self.own_state(), self.h)
            if self.optimizer.shows_point
            else None
        )

    def best(self, run: int) -> torch.Tensor:
        """Return the parameters ``[P]`` of a run's best evaluation."""
        return self.state[BEST][self.rows.index(run)]

    def with_best(self, state: State, run: int, theta: torch.Tensor) -> State:
        """Return ``state`` with these parameters ``[P]`` as those of the run's best evaluation."""
        row = self.rows.index(run)
        best = state[BEST].clone()
        best[row] = theta
        kept = {**state, BEST: best}
        for name in self._model_names:
            values = state[f"{BEST_MODEL}{name}"].clone()
            values[row] = self.state[f"{MODEL}{name}"][row]
            kept[f"{BEST_MODEL}{name}"] = values
        return kept

    def restore_best_values(self, run: int) -> None:
        """Put what the model of a run has beside its parameters back to its best evaluation."""
        row = self.rows.index(run)
        for name in self._model_names:
            values = self.state[f"{MODEL}{name}"].clone()
            values[row] = self.state[f"{BEST_MODEL}{name}"][row]
            self.state[f"{MODEL}{name}"] = values

    def values(self) -> dict[str, torch.Tensor]:
        """Return what the model has beside its parameters, name → values ``[len(rows), …]``."""
        return {name: self.state[f"{MODEL}{name}"] for name in self._model_names}

    def with_values(self, state: State, values: Mapping[str, torch.Tensor]) -> State:
        """Return ``state`` with what a step changed of the model beside its parameters.

        Args:
            values: ``[len(rows), …]``, by name.
        """
        if not values:
            return state
        return {**state, **{f"{MODEL}{name}": value for name, value in values.items()}}

    def _hyperparameters(self, section: str) -> Hyperparameters:
        sections = {
            "optimizer": self.h,
            "clipping": self.clip_h,
            "averaging": self.averaging_h,
        }
        return sections[section]

    def own_state(self) -> State:
        """Return the rule's own entries."""
        return (
            self.state
            if self.simple
            else {name: value for name, value in self.state.items() if is_own(name)}
        )

    def _with_strategies(self, theta: torch.Tensor, after: torch.Tensor, own: State) -> State:
        if self.simple:
            return own
        state = dict(own)
        if self.averaging.active:
            before = {
                name.removeprefix(AVERAGING): value
                for name, value in self.state.items()
                if name.startswith(AVERAGING)
            }
            averaged = self.averaging.update(before, after, self.averaging_h)
            state |= {f"{AVERAGING}{name}": value for name, value in averaged.items()}
        if self._keeps_best:
            state[BEST] = self.state[BEST]
        for name in self._model_names:
            kept = (MODEL, BEST_MODEL) if self._keeps_best else (MODEL,)
            state |= {f"{prefix}{name}": self.state[f"{prefix}{name}"] for prefix in kept}
        if self._max_delay:
            state[f"{DELAY}1"] = theta
            state |= {
                f"{DELAY}{age}": self.state[f"{DELAY}{age - 1}"]
                for age in range(2, self._max_delay + 1)
            }
        return state

    def _stale(self, theta: torch.Tensor, step: int) -> torch.Tensor:
        """Return the parameters to evaluate the gradient at, as old as each run's delay says."""
        if self._max_delay == 0:
            return theta
        ages = [
            min(delay.staleness(step, generators(seed)), step)
            for delay, seed in zip(self.delays, self.seeds, strict=True)
        ]
        past = [theta if age == 0 else self.state[f"{DELAY}{age}"] for age in ages]
        return (
            past[0]
            if len(set(ages)) == 1
            else torch.stack([theta[row] for row, theta in enumerate(past)])
        )


def groups(
    experiments: Sequence[Member],
    theta: torch.Tensor,
    layout: Layout,
    begun: Sequence[Begun] = (),
    values: Mapping[str, torch.Tensor] | None = None,
    examples: int | None = None,
) -> list[Group]:
    """Return the groups of a population with parameters ``theta`` ``[R, P]``.

    Args:
        begun: of each run, where its state began; () for all at step 0. values: what the model has
            beside its parameters, ``[R, …]``. examples: of a training set; None where a batch is
            all there is.
    """
    by_key: dict[tuple[Any, ...], list[int]] = {}
    for row, experiment in enumerate(experiments):
        parts = (experiment.optimizer, experiment.clipping, experiment.averaging)
        shaping = [getattr(experiment.optimizer, name) for name in experiment.optimizer.fixed]
        key = (
            *(value for part in parts for value in (type(part), *_discrete(part))),
            *shaping,
            experiment.delay.longest(),
            experiment.stopping.keeps_best,
            begun[row] if begun else _AT_START,
        )
        by_key.setdefault(key, []).append(row)
    return [
        Group(rows, experiments, theta, layout, key[-1], values, examples)
        for key, rows in by_key.items()
    ]


def _beginning(averaging: Averaging, step: int) -> Averaging:
    """Return an average that begins at ``step`` at the earliest, where it has a beginning."""
    if step == 0 or getattr(averaging, "begin", step) >= step:
        return averaging
    return averaging.model_copy(update={"begin": step})


def _scheduled(members: Sequence[Member]) -> Iterator[ScheduledColumn]:
    """Yield the hyperparameters of a group that follow a schedule in at least one run."""
    own = [{schedule.path: schedule for schedule in member.schedules} for member in members]
    for path in sorted({path for schedules in own for path in schedules}):
        section, _, name = path.partition(".")
        if section == "loss":
            continue  # part of the objective, not of a rule
        yield ScheduledColumn(
            section,
            name,
            [getattr(getattr(member, section), name) for member in members],
            [schedules[path].function if path in schedules else None for schedules in own],
        )


def _discrete(component: Component) -> list[Any]:
    """Return the values that cannot be columns: flags, choices, texts and lists."""
    return [
        getattr(component, field.name)
        for field in component.fields()
        if field.kind not in ("number", "integer")
    ]


def _columns(members: Sequence[Component], theta: torch.Tensor) -> Hyperparameters:
    values: dict[str, Any] = {}
    for field in members[0].fields():
        column = [getattr(member, field.name) for member in members]
        values[field.name] = (
            _number_or_column(column, theta) if field.kind in ("number", "integer") else column[0]
        )
    return Hyperparameters(**values)


def _number_or_column(values: list[float], theta: torch.Tensor) -> Any:
    if all(value == values[0] for value in values):
        return values[0]
    return uploaded(values, theta).unsqueeze(1)
