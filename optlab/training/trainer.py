"""The trainer: R runs and the step that all of them take together.

A step is: batch, gradient at the point the rule evaluates it at, clipping, update, measures, and a
check that everything is still finite. The update rule returns new tensors, so the state before the
step is still available when a run diverges (:mod:`optlab.training.divergence`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from optlab.catalogue.measures.base import EvaluationMeasure, StepMeasure
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.objective.device import resolve
from optlab.objective.ranks import ALONE, Ranks
from optlab.training.batches import BatchStream
from optlab.training.capturing.graph import GRAPHS
from optlab.training.control import SHARED_PATHS
from optlab.training.data_parallel import (
    agreed_values,
    check_same_data,
    compare_parameters,
    shared_objective,
)
from optlab.training.divergence import DivergenceGuard
from optlab.training.evaluation import Evaluator
from optlab.training.events import Status
from optlab.training.held_out import HeldOutPerformance
from optlab.training.initialization import starts
from optlab.training.live_values import LiveValues
from optlab.training.measured_steps import MeasuredSteps
from optlab.training.observing.instrument_runner import InstrumentRunner
from optlab.training.observing.step_context import Surroundings, TrainingStepContext
from optlab.training.population import Population, check_compatible
from optlab.training.recorder import Recorder
from optlab.training.restoring import (
    Carried,
    begun,
    common_step,
    remembered,
    segment,
    stacked_parameters,
    stopping_memory,
)
from optlab.training.run_data import RunData, numbered, objective_of
from optlab.training.snapshot import BATCHES, BEGUN, NORM_AT_START, Snapshot
from optlab.training.step_mode import not_compiled, not_recorded
from optlab.training.totals import clipped_before, evaluated_before, kept_totals


class Trainer:
    """R runs that are trained together.

    Args:
        experiments: one a run; see :mod:`optlab.training.population` for what they may differ in.
        snapshots: one a run, all of the same step, to resume from; by default the runs start from
            their initializers.
        deferred: whether the check for finite values is left on the device; by default on a GPU
            only.
        ranks: the processes that train the runs together, each on its share of the batches. Where
            there are several, the check for finite values is never deferred.

    Raises:
        InvalidInput: the experiments do not fit each other, the device is not available, or a
            snapshot is of another model or optimizer.

    Attributes:
        requested: the experiments as they were requested, epochs converted to steps. effective:
            the same with the changes made during the run. ranks: see above.
        population: the runs, with their parameters and groups. steps: computes their steps.
        forks: run → what it took over, of those that begin as forks.
        norms_at_start: one a run, the norm of the full gradient before step 1, None if unknown.
        endings: run → how it ended. notes: run → what to report about its start, or why its last
            step was not what its method promises; the session removes what it has reported.
    """

    def __init__(
        self,
        experiments: Sequence[Experiment],
        snapshots: Sequence[Snapshot] | None = None,
        *,
        deferred: bool | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        check_compatible(experiments)
        first = experiments[0]
        torch.set_num_threads(first.general.threads)
        data = RunData(experiments)
        examples = len(data.first.training)
        self._live = LiveValues(
            experiments, [one.batches.steps_per_epoch(examples) for one in experiments]
        )
        experiments = self.requested = self._live.requested
        first = experiments[0]
        self.effective = self._live.effective
        self.ranks = ranks
        check_same_data(ranks, first, data.first)
        self.objective = objective_of(experiments, data)
        self._shared = shared_objective(self.objective, data.first.shape, ranks)
        self.layout = self.objective.layout
        self.batch = first.batches.batch_size(examples)
        work = len(experiments) * self.layout.total * self.batch
        self.device = resolve(ranks.device(first.general.device), work, first.general.precision)
        self.dtype: torch.dtype = getattr(torch, first.general.precision)
        self.deferred = self.device != "cpu" if deferred is None else deferred
        if ranks.together:
            self.deferred = False  # all ranks must learn in the same step that a run has ended

        measures = [
            measure()
            for measure in registry.components("measure")
            if self.objective.shape.task in cast(type[StepMeasure], measure).tasks
        ]
        evaluated = [measure for measure in measures if isinstance(measure, EvaluationMeasure)]
        self._evaluator = Evaluator(
            experiments, self._shared, data, evaluated, self.device, self.dtype
        )
        self._stream = BatchStream(
            self._evaluator.training,
            [e.batches for e in experiments],
            [e.general.seed for e in experiments],
            [fresh.draw for fresh in self._evaluator.fresh],
        )
        self.steps_per_epoch = self._stream.steps_per_epoch
        self._examples = examples
        self.last_batch = examples - (self.steps_per_epoch - 1) * self.batch

        drawn, self.notes = starts(
            experiments,
            self.objective,
            data,
            pretrain=snapshots is None and ranks.first,
        )
        drawn = ranks.from_first(drawn)
        self.memories: list[dict[str, float]] = [{} for _ in experiments]
        self.norms_at_start: list[float | None] = [None] * len(experiments)
        self.forks: dict[int, Carried] = {}
        self.population = self._populated(drawn, snapshots)
        clips = any(e.clipping.active for e in experiments)
        self._clipped = clipped_before(snapshots, self.theta, self.runs) if clips else None
        counts = self.population.counts_gradients
        self._guard = DivergenceGuard(
            self.objective,
            self.population,
            self.effective,
            self._stream.at,
            deferred=self.deferred,
        )
        self.endings = self._guard.endings

        self.recorder = Recorder(
            [
                measure
                for measure in measures
                if isinstance(measure, StepMeasure)
                and (clips or not measure.of_clipping)
                and (counts or not measure.of_evaluations)
            ]
        )
        self.steps = MeasuredSteps(
            self.objective,
            self.population,
            self.recorder,
            self.endings,
            evaluated_before(snapshots, self.runs) if counts else None,
        )
        self.follow(first.measures.chosen)

        blurred = any(experiment.continuation.active for experiment in experiments)
        follows = not (self.objective.steps_differ or blurred)
        self._surroundings = Surroundings(
            self.objective,
            self._evaluator.training,
            self._evaluator.validation,
            follows,
            tuple(e.batches.expected_order(examples) for e in experiments),
            numbered([(e.dataset, e.loss) for e in experiments]),
            self.population.stability,
        )
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None
        self.instrument_runner = InstrumentRunner(self.recorder, self.context_at_rest)
        if ranks.first:
            self.instrument_runner.restore(experiments, drawn.to(self.theta), snapshots)

    def _populated(self, drawn: torch.Tensor, snapshots: Sequence[Snapshot] | None) -> Population:
        """Return the population at the drawn starts ``[R, P]``, or as the snapshots have it."""
        step = 0
        if snapshots is not None:
            step = common_step(snapshots, self.runs)
            drawn = torch.from_numpy(stacked_parameters(snapshots, self.layout.total))
            for run, snapshot in enumerate(snapshots):
                self.memories[run] = stopping_memory(snapshot.memory)
                self.norms_at_start[run] = snapshot.memory.get(NORM_AT_START)
                self._live.restore(run, snapshot.values)
            began = segment(snapshots[0].memory)
            size = self.effective[0].batches.size
            if any(began) or size != self.requested[0].batches.size:
                self._stream.continue_at(began, [one.batches for one in self.effective])
        theta = drawn.to(device=self.device, dtype=self.dtype)
        continuations = [experiment.continuation for experiment in self.requested]
        since = [begun(snapshot.memory) for snapshot in snapshots or ()]
        whole, rows = self._evaluator.full_gradient, self._stream.rows
        population = Population(
            self._shared, self.effective, theta, continuations, step, since, whole, rows
        )
        if snapshots is not None:
            self.forks = population.restore(snapshots)
        return population

    # --- shape ------------------------------------------------------------------------------------

    @property
    def runs(self) -> int:
        """R."""
        return len(self.requested)

    @property
    def theta(self) -> torch.Tensor:
        """Parameters ``[R, P]`` after ``step`` steps.

        The row of a run that has ended stays as it ended.
        """
        return self.population.theta

    @theta.setter
    def theta(self, theta: torch.Tensor) -> None:
        self.population.theta = theta

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return self.population.step

    @property
    def alive(self) -> list[int]:
        """The runs that have not ended."""
        return self._guard.alive

    def follow(self, names: Sequence[str]) -> None:
        """Record these weights from now on.

        Args:
            names: none for as many as the experiment requests, spread over all tensors.

        Raises:
            InvalidInput: a name names no weight.
        """
        indices = [self.layout.weight_index(name) for name in names] or self.layout.spread(
            self.requested[0].measures.weights
        )
        self.tracked = tuple(self.layout.weight_name(index) for index in indices)
        self.steps.follow(indices)

    # --- training ---------------------------------------------------------------------------------

    def advance(self) -> None:
        """Take one step in every run that has not ended."""
        number = self.step
        x, y = self._stream.at(number)
        instruments = self.instrument_runner
        if instruments.on or self.objective.keeping:
            self.objective.keeping = instruments.keeps(number + 1)
        measured = self.steps.next(x, y)
        proposed = measured.proposed
        if self._clipped is not None and proposed.clipped is not None:
            clipped = proposed.clipped
            if self.endings:
                clipped = clipped.clone()
                clipped[list(self.endings)] = 0.0
            self._clipped += clipped
        self._guard.accept(proposed, measured.row, measured.total, x, y, owned=measured.repeated)
        compare_parameters(self.ranks, self.theta, number + 1, self.requested[0].budget.steps)
        if proposed.notes:
            self.notes.update(
                (run, note) for run, note in proposed.notes.items() if run not in self.endings
            )
        if instruments.on:
            self._last = (measured.before, self.theta)
            if not self.endings or self.alive:
                instruments.after(
                    number + 1,
                    measured.row,
                    lambda kept: TrainingStepContext.after_step(
                        self._surroundings,
                        number + 1,
                        measured.owned() if kept else measured,
                        x,
                        y,
                    ),
                )

    def advance_unobserved(self, count: int, more: Callable[[], bool]) -> None:
        """Take steps at which nothing but the step measures looks, as far as that saves time.

        It takes those that repeat recorded operations (:meth:`capture_steps`), and none where every
        step has to be looked at: with instruments on, and where clipping is counted.

        Args:
            count: of steps, at most. more: is asked after each step whether another may follow.
        """
        if self.instrument_runner.on or self.objective.keeping or self._clipped is not None:
            return
        before = self.steps.several(count, self._stream.at, more)
        if before is not None:
            self._guard.accepted(before)

    def capture_steps(self) -> None:
        """Repeat recorded operations from now on, where that gives the same steps.

        For those who keep no tensor of the population over steps (:mod:`.capturing`).
        """
        self.steps.obstacle = not_recorded(self.requested, self.device, self.ranks)
        if self.steps.obstacle:
            return
        asked = self.requested[0].general.compiled
        missing = not_compiled(self.device) if asked else ""
        if self.deferred and self.device in GRAPHS:
            self.steps.capture_blocks(self._guard, self._stream, self.advance, GRAPHS[self.device])
        elif self.device == "cpu" and not self.deferred:
            steps = max(one.budget.steps for one in self.requested) - self.step
            self.steps.capture(steps, compiled=asked and not missing)
        self.steps.obstacle = self.steps.obstacle or missing

    def sync_divergence(self) -> None:
        """End the runs that were frozen on the device since the last call.

        Does nothing where the check is not deferred.
        """
        if self._guard.sync() and not self.alive:
            self.recorder.drop_after(
                max(ending.last_reported_step for ending in self.endings.values())
            )

    def observe(self, values: Mapping[str, Sequence[float]]) -> None:
        """Show an evaluation to the schedules that watch: series name → value of every run."""
        self.population.observe(values)

    def end(self, run: int, status: Status, reason: str) -> None:
        """End one run in its current state; the others continue."""
        self._guard.end(run, status, reason)

    def keep_best(self, run: int) -> None:
        """Keep the parameters of a run as those of its best evaluation so far."""
        self._guard.keep_best(run)

    def restore_best(self, run: int) -> None:
        """Put a run back to the parameters of its best evaluation."""
        self.population.restore_best(run)

    # --- changes during the run -------------------------------------------------------------------

    def set_value(self, path: str, value: float, run: int | None = None) -> float:
        """Change a field of one run or (None) of all, from the next step on.

        Returns:
            The value as the field has it: a whole number where the field has whole numbers.

        Raises:
            InvalidInput: the field cannot be changed during a run, or the value is not allowed.
        """
        self.sync_divergence()  # runs that diverged until now diverged with the old value
        size = self.effective[0].batches.size
        if path in SHARED_PATHS and self.ranks.together:
            raise InvalidInput(f"{path} cannot be changed while ranks share the batches.", path)
        value = self._live.set(path, value, run)
        batches = [experiment.batches for experiment in self.effective]
        if batches[0].size != size:
            self._stream.continue_at(self._stream.place(self.step), batches)
            orders = tuple(one.expected_order(self._examples) for one in batches)
            self._surroundings = dataclasses.replace(self._surroundings, expected_orders=orders)
        self.population.refresh(self.effective)
        self.steps.forget()
        return value

    def switch_instrument(self, name: str, values: Mapping[str, Any] | None) -> None:
        """Switch an instrument on with these fields, or off (None), from the next step on.

        The training stays the same.

        Raises:
            InvalidInput: there is no such instrument, a value is not allowed, or it does not exist
                for these experiments.
        """
        self.effective[:] = [
            experiment.with_instrument(name, values) for experiment in self.effective
        ]
        if not self.ranks.first:
            return
        if values is None:
            self.instrument_runner.switch_off(name)
        else:
            self.instrument_runner.switch_on(
                next(one for one in self.effective[0].instruments if one.name == name), self.theta
            )

    # --- evaluation -------------------------------------------------------------------------------

    def context_at_rest(self) -> TrainingStepContext:
        """Return the context of the current parameters, with the batch of the next step."""
        # The last step is known unless something else has set the parameters since.
        known = self._last is not None and self._last[1] is self.theta
        self.steps.release()
        before = self._last[0].clone() if known and self._last is not None else self.theta
        return TrainingStepContext.at_rest(
            self._surroundings,
            self.step,
            before,
            self.theta,
            self.population.rates(),
            self._stream.at(self.step),
        )

    def batch_of(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the batch of step ``step`` (0, 1, …).

        Returns:
            Inputs ``[R, m, *inputs]`` and targets ``[R, m]`` or ``[R, m, outputs]``.
        """
        return self._stream.at(step)

    def evaluate(self, *, gradient: bool = False) -> dict[str, torch.Tensor]:
        """Return the evaluation measures at the current parameters: series name → values ``[R]``.

        Args:
            gradient: whether the full gradient is computed, which costs two to three times what
                the rest does.
        """
        values = self._evaluator.evaluate(
            self.theta,
            self.step,
            self.population.averaged(),
            self.population.shown_point(),
            gradient=gradient,
        )
        values = agreed_values(self.ranks, values)
        if gradient and self.step == 0:
            self.norms_at_start = self.full_gradient_norm().tolist()
        return values

    def test_performance(self) -> HeldOutPerformance | None:
        """Return the performance on the test part at the current parameters; None without one.

        No evaluation measure has it, so that neither stopping rules nor schedules can base a choice
        on it.
        """
        return self._evaluator.test_performance(self.theta)

    def clipped_share(self, run: int) -> float | None:
        """Return the mean over a run's steps of the share of components that were clipped.

        None where the run does not clip, has taken no step, or diverged, and where it was resumed
        from a snapshot that does not have it.
        """
        ending = self.endings.get(run)
        steps = self.step if ending is None else ending.step
        if (
            self._clipped is None
            or not self.effective[run].clipping.active
            or not steps
            or (ending is not None and ending.status == "diverged")
        ):
            return None
        share = float(self._clipped[run]) / steps
        return share if math.isfinite(share) else None

    def full_gradient_norm(self) -> torch.Tensor:
        """Return the norm ``[R]`` of the gradient on the entire training set."""
        return self.ranks.from_first(self._evaluator.full_gradient_norm(self.theta))

    # --- snapshots --------------------------------------------------------------------------------

    def snapshot(self, run: int, seconds: float, reason: str) -> Snapshot:
        """Return a copy of everything that training depends on in a run."""
        self.sync_divergence()  # the state of a frozen run is of an earlier step
        group, row = self.population.group_of(run)
        ending = self.endings.get(run)
        norm = self.norms_at_start[run]
        return Snapshot(
            step=ending.step if ending is not None else self.step,
            seconds=seconds,
            theta=self.theta[run].cpu().numpy().copy(),
            state={name: value[row].cpu().numpy().copy() for name, value in group.state.items()},
            values=self._live.values(run),
            memory={
                **self.memories[run],
                **group.schedule_memory(run),
                **self.instrument_runner.remembered(run),
                **({} if norm is None else {NORM_AT_START: norm}),
                **kept_totals(self._clipped, self.steps.evaluations, run),
                **remembered(BATCHES, self._stream.segment_of(self.step)),
                **remembered(BEGUN, group.begun),
            },
            reason=reason,
        )
