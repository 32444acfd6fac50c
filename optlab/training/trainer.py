"""The trainer: ``theta [R, P]`` and the one step that changes it.

A step is: batch, gradient at the point the rule asks for, clipping, update, measures, and a check
that everything is still finite. The update rule returns new tensors, so the state before the step
is still there when the step turns out to have been fatal.

On the CPU the check reads a number at each step. On a GPU that would make every step wait, so a run
that breaks is frozen on the device within the step, and the host learns of it when it next reads a
block (:meth:`Trainer.sync_divergence`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure, Step, StepMeasure
from optlab.catalogue.optimizers.base import State
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.objective.device import resolve
from optlab.objective.objective import Objective
from optlab.training.batches import BatchStream
from optlab.training.divergence import first_broken
from optlab.training.events import Status
from optlab.training.fresh import FreshExamples, tensors
from optlab.training.full_gradient import FullGradient
from optlab.training.initialization import starts
from optlab.training.observing.instrument_runner import InstrumentRunner
from optlab.training.observing.step_context import Surroundings, TrainingStepContext
from optlab.training.population import Group, check_compatible, divided, groups
from optlab.training.recorder import Recorder
from optlab.training.snapshot import NORM_AT_START, Snapshot
from optlab.training.stepping import Stepper


@dataclass(frozen=True)
class RunEnding:
    """How a run of the population ended: after how many steps, how, and why in words.

    ``told`` is the last step whose values are told (the fatal one, of a run that diverged);
    ``broken`` names the tensor that was not finite.
    """

    step: int
    status: Status
    reason: str
    told: int
    broken: str = ""


class Trainer:
    """R runs that are trained together.

    Args:
        experiments: one a run; see :mod:`optlab.training.population` for what they may differ in.
        snapshots: one a run, all of the same step, to go on from; by default the runs start from
            their initializers.
        deferred: whether the check for finite values is left on the device; by default on a GPU
            only.

    Raises:
        InvalidInput: the experiments do not fit each other, the device is not there, or a snapshot
            is of another model.

    Attributes:
        theta: parameters ``[R, P]`` after ``step`` steps; the row of a run that has ended stays as
            it ended.
        current: the experiments as they stand after changes made on the way; asked: as they were
            asked for.
        norms_at_start: one a run, the norm of the full gradient before the first step; None where
            that is not known.
        endings: run → how it ended. notes: run → what there is to tell about its start, or why its
            last step was not what its method promises; whoever tells them takes them out.
    """

    def __init__(
        self,
        experiments: Sequence[Experiment],
        snapshots: Sequence[Snapshot] | None = None,
        *,
        deferred: bool | None = None,
    ) -> None:
        check_compatible(experiments)
        first = experiments[0]
        torch.set_num_threads(first.general.threads)
        self.asked = tuple(experiments)
        self.current = list(experiments)
        data = first.dataset.load()
        for experiment in experiments:
            experiment.check_data(data)
        self.objective = Objective(
            first.model, first.loss, data.shape, torch.from_numpy(data.training.x)
        )
        self.layout = self.objective.layout
        self.batch = first.batches.batch_size(len(data.training))
        work = len(experiments) * self.layout.total * self.batch
        self.device = resolve(first.general.device, work, first.general.precision)
        self.dtype: torch.dtype = getattr(torch, first.general.precision)
        self.deferred = self.device != "cpu" if deferred is None else deferred

        self._training = tensors(data.training, self.device, self.dtype)
        self._validation = (
            tensors(data.validation, self.device, self.dtype) if len(data.validation) else None
        )
        self._test = data.test
        self._fresh = (
            FreshExamples(first.dataset, data, self.device, self.dtype)
            if first.dataset.endless
            else None
        )
        self._stream = BatchStream(
            *self._training,
            [e.batches for e in experiments],
            [e.general.seed for e in experiments],
            self._fresh.draw if self._fresh is not None else None,
        )
        self.steps_per_epoch = self._stream.steps_per_epoch
        self.last_batch = len(data.training) - (self.steps_per_epoch - 1) * self.batch

        drawn, self.notes = starts(
            experiments, self.objective, data.training, pretrain=snapshots is None
        )
        self.theta: torch.Tensor = drawn.to(device=self.device, dtype=self.dtype)
        self.step = 0
        self.memories: list[dict[str, float]] = [{} for _ in experiments]
        self.norms_at_start: list[float | None] = [None] * len(experiments)
        self.endings: dict[int, RunEnding] = {}
        if snapshots is not None:
            self._enter(snapshots)
        self._groups = groups(self.current, self.theta, self.layout)
        self._stepper = Stepper(
            self.objective, self._groups, first.continuation, [e.general.seed for e in experiments]
        )
        if snapshots is not None:
            self._restore_states(snapshots)
        self._safe: tuple[torch.Tensor, list[State]] = (
            self.theta,
            [group.state for group in self._groups],
        )
        self._alive = torch.ones(self.runs, dtype=torch.bool, device=self.device)
        self._watched: list[torch.Tensor] = []
        self._watched_from = 0

        task = self.objective.shape.task
        measures = [
            measure()
            for measure in registry.components("measure")
            if task in cast(type[StepMeasure], measure).tasks
        ]
        self._evaluations = [
            measure for measure in measures if isinstance(measure, EvaluationMeasure)
        ]
        clips = any(e.clipping.active for e in experiments)
        self.recorder = Recorder(
            [
                measure
                for measure in measures
                if isinstance(measure, StepMeasure) and (clips or not measure.of_clipping)
            ]
        )
        self._rates: list[float] = []
        self.follow(first.measures.chosen)

        follows = not (self.objective.uses_surrogate_gradient or first.continuation.active)
        self._surroundings = Surroundings(self.objective, self._training, self._validation, follows)
        self._full_gradient = FullGradient(
            self.objective, self._training, [e.batches.streams for e in experiments], self._held
        )
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None
        self.instrument_runner = InstrumentRunner(self.recorder, self._sight)
        self.instrument_runner.restore(experiments, drawn.to(self.theta), snapshots)

    # --- shape ---------------------------------------------------------------------------------------------------------------

    @property
    def runs(self) -> int:
        """R."""
        return len(self.asked)

    @property
    def alive(self) -> list[int]:
        """Runs that have not ended."""
        return [run for run in range(self.runs) if run not in self.endings]

    def follow(self, names: Sequence[str]) -> None:
        """Record these weights from now on; none for as many spread over all tensors as the
        experiment asks.

        Raises:
            InvalidInput: a name names no weight.
        """
        places = [self.layout.weight_index(name) for name in names] or self.layout.spread(
            self.asked[0].measures.weights
        )
        self.tracked = tuple(self.layout.weight_name(place) for place in places)
        self._tracked: torch.Tensor = torch.tensor(places, dtype=torch.int64, device=self.device)

    # --- training ------------------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Take one step in every run that has not ended."""
        theta, number = self.theta, self.step
        x, y = self._stream.at(number)
        if self.instrument_runner.on:
            self.objective.keeping = self.instrument_runner.keeps(number + 1)
        taken = self._stepper.take(theta, number, x, y)
        if taken.rates != self._rates:
            self._rates = taken.rates
            self._rate: torch.Tensor = torch.tensor(
                taken.rates, dtype=self.dtype, device=self.device
            )
        seen = Step(
            taken.loss,
            taken.gradient,
            taken.norm,
            before=theta,
            after=taken.after,
            rate=self._rate,
            tracked=self._tracked,
            clipped=taken.clipped,
        )
        row = self.recorder.take(number + 1, seen)
        after, states = taken.after, taken.states
        if self.deferred:
            after, states = self._freeze_broken(taken.loss, after, states)
        elif self.endings or not math.isfinite(row.sum().item()):
            after, states = self._end_broken(taken.loss, after, states, (taken.point, x, y))
        else:
            self._safe = (theta, [group.state for group in self._groups])
        if taken.notes:
            self.notes.update(taken.notes)
        self.theta = after
        for group, state in zip(self._groups, states, strict=True):
            group.state = state
        self.step = number + 1
        if self.instrument_runner.on:
            self._last = (theta, after)
            if not self.endings or self.alive:
                self.instrument_runner.after(
                    number + 1,
                    row,
                    lambda: TrainingStepContext.of(
                        self._surroundings, number + 1, taken, seen, x, y
                    ),
                )

    # --- runs that break -----------------------------------------------------------------------------------------------------

    def _freeze_broken(
        self, loss: torch.Tensor, after: torch.Tensor, states: list[State]
    ) -> tuple[torch.Tensor, list[State]]:
        """Without reading anything from the device: a run whose loss or parameters are not finite
        stays at its last finite state.
        """
        sound = self._alive & torch.isfinite(loss)
        self._safe = self._chosen(
            sound, self.theta, [group.state for group in self._groups], *self._safe
        )
        self._alive = sound & torch.isfinite(after).all(dim=1)
        if not self._watched:
            self._watched_from = self.step
        self._watched.append(torch.stack([sound, self._alive]))
        return self._chosen(self._alive, after, states, *self._safe)

    def _end_broken(
        self,
        loss: torch.Tensor,
        after: torch.Tensor,
        states: list[State],
        fatal: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    ) -> tuple[torch.Tensor, list[State]]:
        """The same, reading: a broken run is ended and what broke is named."""
        sound = self._alive & torch.isfinite(loss)
        self._safe = self._chosen(
            sound, self.theta, [group.state for group in self._groups], *self._safe
        )
        lasting = sound & torch.isfinite(after).all(dim=1)
        for run in self.alive:
            if not bool(lasting[run]):
                point, x, y = (tensor[run : run + 1] for tensor in fatal)
                self._diverged(
                    run,
                    self.step,
                    bool(sound[run]),
                    first_broken(self.objective, point, x, y, after[run : run + 1]),
                )
        self._alive = lasting
        return self._chosen(lasting, after, states, *self._safe)

    def _diverged(self, run: int, fatal: int, sound: bool, broken: tuple[str, str]) -> None:
        """End a run whose step ``fatal`` (0, 1, …) broke; ``sound``: whether the loss of that step
        was still finite.
        """
        name, what = broken
        step = self._kept_step(fatal, sound)
        reason = (
            f"{name} is not finite ({what}) in step {fatal + 1}; the state of step {step} is kept"
        )
        self.endings[run] = RunEnding(step, "diverged", reason, fatal + 1, name)

    @staticmethod
    def _kept_step(fatal: int, sound: bool) -> int:
        """The loss belongs to the parameters before the step: if it is what broke, those were
        already bad.
        """
        return fatal if sound else max(fatal - 1, 0)

    def sync_divergence(self) -> None:
        """Learn which runs were frozen on the device since the last call; does nothing where the
        check is not deferred.
        """
        if not self._watched:
            return
        sound, lasting = torch.stack(self._watched, dim=1).cpu().numpy()
        self._watched = []
        for run in self.alive:
            if not lasting[-1, run]:
                place = int(np.argmin(lasting[:, run]))
                fatal, was_sound = self._watched_from + place, bool(sound[place, run])
                self._diverged(run, fatal, was_sound, self._broken_again(run, fatal, was_sound))
        if not self.alive:
            self.recorder.drop_after(max(ending.told for ending in self.endings.values()))

    def _broken_again(self, run: int, fatal: int, sound: bool) -> tuple[str, str]:
        """What broke in a run that is frozen: the steps from the kept state to the fatal one, taken
        once more.
        """
        place, group = next(
            (group.rows.index(run), group) for group in self._groups if run in group.rows
        )
        theta = self.theta[run : run + 1]
        alone = Group([0], [self.current[run]], theta, self.layout)
        alone.state = {name: value[place : place + 1] for name, value in group.state.items()}
        alone.memories = [group.memories[place]]
        stepper = Stepper(
            self.objective,
            [alone],
            self.current[run].continuation,
            [self.current[run].general.seed],
        )
        for number in range(self._kept_step(fatal, sound), fatal + 1):
            x, y = (tensor[run : run + 1] for tensor in self._stream.at(number))
            taken = stepper.take(theta, number, x, y)
            point, theta, alone.state = taken.point, taken.after, taken.states[0]
        return first_broken(self.objective, point, x, y, theta)

    def _chosen(
        self,
        mask: torch.Tensor,
        theta: torch.Tensor,
        states: list[State],
        other_theta: torch.Tensor,
        other_states: list[State],
    ) -> tuple[torch.Tensor, list[State]]:
        """Row by row, the first where ``mask`` ``[R]`` holds, else the other."""
        chosen: list[State] = []
        for group, state, other in zip(self._groups, states, other_states, strict=True):
            here = group.select(mask)
            chosen.append(
                {
                    name: torch.where(here.view(-1, *[1] * (value.dim() - 1)), value, other[name])
                    for name, value in state.items()
                }
            )
        return torch.where(mask.unsqueeze(1), theta, other_theta), chosen

    def observe(self, values: Mapping[str, Sequence[float]]) -> None:
        """Let schedules that watch see an evaluation: series name → value of every run."""
        for group in self._groups:
            group.observe(values)

    def end(self, run: int, status: Status, reason: str) -> None:
        """End one run where it stands; the others go on."""
        self.endings[run] = RunEnding(self.step, status, reason, self.step)
        self._alive = self._alive.clone()
        self._alive[run] = False
        # Frozen from now on at this state, not at the one before.
        mask = torch.ones_like(self._alive)
        mask[run] = False
        self._safe = self._chosen(
            mask, *self._safe, self.theta, [group.state for group in self._groups]
        )

    def keep_best(self, run: int) -> None:
        """Keep the parameters of a run as those of its best evaluation so far."""
        safe_theta, safe_states = self._safe
        for place, group in enumerate(self._groups):
            if run in group.rows:
                group.state = group.with_best(group.state, run, self.theta[run])
                # What the stopping rule remembers is not put back with the safe state: the two have
                # to go together.
                safe_states = [*safe_states]
                safe_states[place] = group.with_best(safe_states[place], run, self.theta[run])
        self._safe = (safe_theta, safe_states)

    def restore_best(self, run: int) -> None:
        """Put a run back to the parameters of its best evaluation."""
        group = next(group for group in self._groups if run in group.rows)
        theta = self.theta.clone()
        theta[run] = group.best(run)
        self.theta = theta

    # --- changes on the way ------------------------------------------------------------------------------------------------------

    def set_value(self, path: str, value: float, run: int | None = None) -> None:
        """Change a field of one run or (None) of all, from the next step on.

        Raises:
            InvalidInput: the field cannot be changed while a run goes, or the value is not allowed.
        """
        self.sync_divergence()  # what broke until now broke with the old value
        runs = range(self.runs) if run is None else [run]
        changed: dict[int, Experiment] = {}
        for member in runs:
            live = self.current[member].live_fields()
            if path not in live:
                raise InvalidInput(
                    f"{path} cannot be changed while a run goes; these can: {', '.join(live)}.",
                    path,
                )
            changed[member] = self.current[member].with_value(
                path, int(value) if live[path].kind == "integer" else float(value)
            )
        for member, experiment in changed.items():
            self.current[member] = experiment
        for group in self._groups:
            group.refresh(self.current, self.theta)

    def switch_instrument(self, name: str, values: Mapping[str, Any] | None) -> None:
        """Switch an instrument on with these fields, or off (None), from the next step on. The
        training stays the same.

        Raises:
            InvalidInput: there is no such instrument, a value is not allowed, or it does not exist
                for these experiments.
        """
        self.current = changed = [
            experiment.with_instrument(name, values) for experiment in self.current
        ]
        if values is None:
            self.instrument_runner.switch_off(name)
        else:
            self.instrument_runner.switch_on(
                next(one for one in changed[0].instruments if one.name == name), self.theta
            )

    # --- looking -----------------------------------------------------------------------------------------------------------------

    def _sight(self) -> TrainingStepContext:
        """What instruments see of the parameters as they stand: the batch is that of the step to
        come.
        """
        # The way of the last step is known unless something else has put the parameters where they
        # are.
        before = (
            self.theta if self._last is None or self._last[1] is not self.theta else self._last[0]
        )
        return TrainingStepContext.standing(
            self._surroundings,
            self.step,
            before,
            self.theta,
            self._stepper.rates(self.step),
            self._stream.at(self.step),
        )

    def batch_of(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch of step ``step`` (0, 1, …): inputs ``[R, m, *inputs]`` and targets ``[R, m]``
        or ``[R, m, outputs]``.
        """
        return self._stream.at(step)

    def evaluate(self, *, gradient: bool = False) -> dict[str, torch.Tensor]:
        """Evaluation measures at the parameters as they are: series name → values ``[R]``.

        Args:
            gradient: whether the full gradient is taken, too, which costs two to three times what
                the rest does.
        """
        seen = self._looked_at(self.theta)
        if gradient:
            seen.full_gradient_norm = self.full_gradient_norm()
            if self.step == 0:
                self.norms_at_start = seen.full_gradient_norm.tolist()
        seen.fresh_loss, seen.fresh_error = self._risk()
        averaged = self._averaged()
        if averaged is not None:
            seen = replace(seen, averaged=self._looked_at(averaged))
        taken = {measure.name: measure.take(seen) for measure in self._evaluations}
        return {name: values for name, values in taken.items() if values is not None}

    def _looked_at(self, theta: torch.Tensor) -> Evaluation:
        losses, errors, margins = self.objective.evaluate(theta, *self._training)
        seen = Evaluation(losses, errors, None, None, training_margin=margins)
        if self._validation is not None:
            seen.validation_loss, seen.validation_error, seen.validation_margin = (
                self.objective.evaluate(theta, *self._validation)
            )
        seen.penalty = self.objective.penalty(theta)
        seen.weight_norm = self.objective.weight_norm(theta)
        return seen

    def _held(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Fresh examples that no run is trained on, the same for all runs: of the data's seed."""
        assert self._fresh is not None, "only an endless data set can be streamed"
        return self._fresh.draw(self.asked[0].dataset.seed, "full gradient", number)

    def _risk(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Mean loss and 0-1 error ``[R]`` on fresh examples; None where none are drawn, and the
        error for regression.

        All runs see the same draws, of the data's seed and the step: alone or together, with any
        seed of their own.
        """
        number = self.asked[0].measures.fresh
        if self._fresh is None or number == 0:
            return None, None
        loss = torch.zeros_like(self.theta[:, 0])
        error: torch.Tensor | None = None
        for x, y in self._fresh.pieces(self.asked[0].dataset.seed, f"risk/{self.step}", number):
            losses, errors, _ = self.objective.evaluate(self.theta, x, y)
            loss += losses.sum(dim=1) / number
            if errors is not None:
                share = errors.sum(dim=1) / number
                error = share if error is None else error + share
        return loss, error

    def _averaged(self) -> torch.Tensor | None:
        """Averaged parameters ``[R, P]``, the iterates themselves for runs without an average; None
        where no run has one.
        """
        if not any(group.averaging.active for group in self._groups):
            return None
        averaged = self.theta.clone()
        for group in self._groups:
            average = group.average()
            if average is not None:
                averaged[group.rows] = average
        return averaged

    def test_performance(self) -> dict[str, torch.Tensor]:
        """Return ``test_loss`` and, for classes, ``test_error`` ``[R]`` at the parameters as they
        are; empty where there is no test part.

        No evaluation measure has these, so that neither stopping rules nor schedules can use them
        for a choice.
        """
        if not len(self._test):
            return {}
        losses, errors, _ = self.objective.evaluate(
            self.theta, *tensors(self._test, self.device, self.dtype)
        )
        found = {"test_loss": losses.mean(dim=1)}
        return found if errors is None else {**found, "test_error": errors.mean(dim=1)}

    def full_gradient_norm(self) -> torch.Tensor:
        """Return the norm ``[R]`` of the gradient of the objective on the whole training set; see
        :class:`FullGradient`.
        """
        return self._full_gradient.norms(self.theta)

    # --- snapshots ---------------------------------------------------------------------------------------------------------------

    def snapshot(self, run: int, seconds: float, reason: str) -> Snapshot:
        """A copy of everything that run depends on."""
        self.sync_divergence()  # the state of a frozen run is of an earlier step
        group = next(group for group in self._groups if run in group.rows)
        row = group.rows.index(run)
        ending = self.endings.get(run)
        return Snapshot(
            step=ending.step if ending is not None else self.step,
            seconds=seconds,
            theta=self.theta[run].cpu().numpy().copy(),
            state={name: value[row].cpu().numpy().copy() for name, value in group.state.items()},
            values=self._changes(run),
            memory={
                **self.memories[run],
                **group.remembered(run),
                **self.instrument_runner.remembered(run),
                **self._norm_remembered(run),
            },
            reason=reason,
        )

    def _norm_remembered(self, run: int) -> dict[str, float]:
        norm = self.norms_at_start[run]
        return {} if norm is None else {NORM_AT_START: norm}

    def _changes(self, run: int) -> Mapping[str, float]:
        changes: dict[str, float] = {}
        for path in self.asked[run].live_fields():
            section, _, field = path.partition(".")
            now = getattr(getattr(self.current[run], section), field)
            if now != getattr(getattr(self.asked[run], section), field):
                changes[path] = now
        return changes

    def _enter(self, snapshots: Sequence[Snapshot]) -> None:
        steps = {snapshot.step for snapshot in snapshots}
        if len(snapshots) != self.runs or len(steps) != 1:
            raise InvalidInput(
                "A population can go on only from snapshots of all its runs at the same step."
            )
        for snapshot in snapshots:
            if snapshot.theta.shape != (self.layout.total,):
                raise InvalidInput(
                    f"The snapshot holds {snapshot.theta.size:,} parameters, but the experiment's model has {self.layout.total:,}; it is of another model."
                )
        self.step = steps.pop()
        theta = np.stack([snapshot.theta for snapshot in snapshots])
        self.theta = torch.from_numpy(theta).to(device=self.device, dtype=self.dtype)
        for run, snapshot in enumerate(snapshots):
            self.memories[run] = divided(snapshot.memory)[0]
            self.norms_at_start[run] = snapshot.memory.get(NORM_AT_START)
            for path, value in snapshot.values.items():
                self.current[run] = self.current[run].with_value(path, value)

    def _restore_states(self, snapshots: Sequence[Snapshot]) -> None:
        for group in self._groups:
            members = [snapshots[row] for row in group.rows]
            group.memories = [divided(member.memory)[1] for member in members]
            if any(set(member.state) != set(group.state) for member in members):
                raise InvalidInput(
                    f"The snapshot's optimizer state is not that of {group.optimizer.label}; it is of another optimizer."
                )
            group.state = {
                name: torch.from_numpy(np.stack([member.state[name] for member in members])).to(
                    device=self.device, dtype=value.dtype
                )
                for name, value in group.state.items()
            }
