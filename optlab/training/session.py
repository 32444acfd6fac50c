"""A session: the loop around the trainer, as a generator of events.

Whatever iterates it (a thread, a worker process, a test) owns the run. Between steps it reads
control messages; every few tens of milliseconds it yields the measured values as one block.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from optlab.catalogue.measures.norms import FullGradientNorm
from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.objective.device import describe
from optlab.objective.memory import keep_freed_memory
from optlab.objective.ranks import ALONE, Ranks
from optlab.training.budgets import Budgets
from optlab.training.clock import TrainingClock
from optlab.training.control import (
    Advance,
    Controls,
    Follow,
    Message,
    Pause,
    Resume,
    SetPace,
    SetValue,
    Stop,
    SwitchInstrument,
    TakeSnapshot,
)
from optlab.training.data_parallel import described
from optlab.training.events import (
    ActivityChanged,
    Event,
    InstrumentCosts,
    MessageApplied,
    RunEnded,
    Series,
    SeriesBlock,
    SessionEnded,
    SessionStarted,
    SnapshotTaken,
    StateTakenOver,
)
from optlab.training.final_results import final_results
from optlab.training.known_figures import known_figures
from optlab.training.notes import Notes
from optlab.training.observing.followed_path import FollowedPath
from optlab.training.pace import Pace
from optlab.training.recorder import MAX_ROWS
from optlab.training.snapshot import Snapshot
from optlab.training.step_mode import StepModeReport
from optlab.training.trainer import Trainer
from optlab.training.unobserved import UnobservedSteps

BLOCK_SECONDS = 0.03
"""Time between blocks: about one for each frame that a window draws."""
CHECKPOINT_SECONDS = 1.0
"""Time between checkpoints: the most that is computed again after a kill, or to reach a step."""
COST_SECONDS = 1.0
"""Time between reports of what instruments cost."""
HELD_UP_SECONDS = 1.0
"""Delay from which a consumer that takes no events counts as holding up the session."""
GRADIENT_EPOCHS = 20
"""Epochs between evaluations of the full gradient, unless the experiment says otherwise."""


def session(
    experiments: Sequence[Experiment],
    controls: Controls,
    snapshots: Sequence[Snapshot] | None = None,
    ranks: Ranks = ALONE,
) -> Iterator[Event]:
    """Train experiments as one population and yield what happens.

    Args:
        experiments: one a run.
        controls: where messages come from.
        snapshots: state of each run to resume from.
        ranks: the processes that train the runs together. Each goes through the same session; the
            events of the first count.

    Raises:
        InvalidInput: the experiments cannot be run; raised before the first event.
    """
    keep_freed_memory()
    trainer = Trainer(experiments, snapshots, ranks=ranks)
    trainer.capture_steps()
    yield from _Session(trainer, controls, snapshots).timed_events()


class _Session:
    def __init__(
        self, trainer: Trainer, controls: Controls, snapshots: Sequence[Snapshot] | None
    ) -> None:
        self._trainer = trainer
        self._controls = controls
        self._resumed = snapshots is not None
        self._clock = TrainingClock(
            max((s.seconds for s in snapshots), default=0.0) if snapshots else 0.0
        )
        first = trainer.requested[0]
        self._budgets = Budgets([experiment.budget for experiment in trainer.requested])
        self._every = first.measures.evaluate_every or trainer.steps_per_epoch
        self._gradient_every = (
            first.measures.gradient_every or GRADIENT_EPOCHS * trainer.steps_per_epoch
        )
        self._norm_known_at = [-1] * trainer.runs
        self._path = FollowedPath(trainer)
        self._costs_at = 0.0
        self._paused = False
        self._steps_left = 0
        self._stopped = False
        self._changed = False
        self._reported: set[int] = set()
        self._notes = Notes()
        self._mode = StepModeReport(trainer, self._notes)
        self._pace = Pace()
        self._steps = UnobservedSteps(trainer, self._clock, controls, self._budgets, self._every)

    def timed_events(self) -> Iterator[Event]:
        """Yield the events, without counting time for which the consumer holds up the session.

        A consumer may wait for space on its disk, for example.
        """
        for event in self.events():
            began = time.perf_counter()
            yield event
            delay = time.perf_counter() - began
            if delay > HELD_UP_SECONDS:
                self._clock.skip(delay)

    def events(self) -> Iterator[Event]:
        trainer = self._trainer
        yield SessionStarted(
            runs=trainer.runs,
            parameters=trainer.layout.total,
            device=trainer.device,
            device_name=described(trainer.ranks, describe(trainer.device)),
            steps=self._budgets.longest,
            steps_per_epoch=trainer.steps_per_epoch,
            batch=trainer.batch,
            last_batch=trainer.last_batch,
            step=trainer.step,
            tracked=trainer.tracked,
        )
        yield from self._report_notes()
        self._path.add()
        for run, state in trainer.forks.items():
            yield StateTakenOver(run, state.carried, state.fresh)
        if trainer.forks:
            yield from self._keep("start")
        elif not self._resumed:
            self._evaluate(gradient_of=trainer.alive)
            yield from self._keep("start")
        last_block = last_checkpoint = time.perf_counter()
        while not self._over():
            for message in self._controls.receive(trainer.step):
                yield from self._apply(message)
            if self._changed:
                self._changed = False
                yield from self._block()
                yield from self._keep("changed")
            if self._stopped:
                break
            if self._paused and self._steps_left == 0:
                self._controls.wait(0.1)
                continue
            if self._pace.holds_up(self._controls, self._clock):
                continue
            followed = self._path.due(trainer.step + 1)
            alone = bool(followed or self._steps_left or self._pace.steps_per_second)
            self._steps.advance(last_block + BLOCK_SECONDS, alone=alone)
            self._pace.stepped()
            yield from self._after_step()
            now = time.perf_counter()
            if now - last_block >= BLOCK_SECONDS or len(trainer.recorder) >= MAX_ROWS:
                yield from self._block()
                last_block = now
                if now - last_checkpoint >= CHECKPOINT_SECONDS:
                    yield from self._keep("checkpoint")
                    last_checkpoint = now
        yield from self._finish()

    # --- between steps ----------------------------------------------------------------------------

    def _over(self) -> bool:
        alive, step = self._trainer.alive, self._trainer.step
        if len(self._budgets.spent(alive, step)) == len(alive):
            return True
        return self._trainer.ranks.agreed(0.0 < self._budgets.seconds <= self._clock.seconds())

    def _after_step(self) -> Iterator[Event]:
        trainer = self._trainer
        if trainer.step % self._every == 0:
            trainer.sync_divergence()
            if trainer.alive:
                # The first evaluation after each multiple, so that the steps are those of
                # evaluations whatever the two numbers are.
                multiples = (
                    trainer.step // self._gradient_every
                    - (trainer.step - self._every) // self._gradient_every
                )
                values = self._evaluate(
                    gradient_of=trainer.alive
                    if multiples > 0
                    else self._budgets.spent(trainer.alive, trainer.step)
                )
                trainer.observe(values)
                self._apply_stopping_rules(values)
        self._end_spent()
        if trainer.instrument_runner.failures:
            yield from self._block()
        if self._path.due(trainer.step):
            self._path.add()
        if len(trainer.endings) > len(self._reported):
            yield from self._report_endings()
        if self._steps_left:
            self._steps_left -= 1
            if self._steps_left == 0:
                yield from self._pause()

    def _end_spent(self) -> None:
        """End the runs whose budget of steps is spent while others continue."""
        trainer = self._trainer
        if trainer.step < self._budgets.shortest:
            return
        trainer.sync_divergence()
        spent = self._budgets.spent(trainer.alive, trainer.step)
        if spent and len(spent) < len(trainer.alive):
            self._end(spent)

    def _end(self, runs: Sequence[int]) -> None:
        """Evaluate runs at their last step, and end them."""
        trainer = self._trainer
        if trainer.step % self._every:
            self._evaluate(of=runs)
        self._record_norms(runs, trainer.full_gradient_norm().tolist())
        for run in runs:
            if self._stopped:
                trainer.end(run, "stopped", "stopped by the user")
            else:
                trainer.end(run, "finished", self._budgets.reason(run, trainer.step))

    def _apply(self, message: Message) -> Iterator[Event]:
        trainer, problem = self._trainer, ""
        match message:
            case Pause():
                if not self._paused:
                    self._steps_left = 0
                    yield from self._pause()
            case Resume():
                if self._paused:
                    self._paused, self._steps_left = False, 0
                    self._clock.resume()
                    yield ActivityChanged(trainer.step, "running")
            case Advance(steps=steps):
                self._paused, self._steps_left = True, max(1, steps)
                if not self._clock.running:
                    self._clock.resume()
            case SetPace(steps_per_second=rate):
                if not trainer.ranks.together:
                    self._pace.set(rate)
            case Stop():
                self._stopped = True
            case TakeSnapshot():
                yield from self._block()
                yield from self._keep("asked")
            case SetValue(path=path, value=value, run=run):
                try:
                    message = replace(message, value=trainer.set_value(path, value, run))
                    self._changed = True
                except InvalidInput as error:
                    problem = str(error)
            case Follow(weights=names):
                # Rows of one block have one width.
                yield from self._block()
                try:
                    trainer.follow(names)
                except InvalidInput as error:
                    problem = str(error)
            case SwitchInstrument(name=name, reason=reason) if reason and (
                name not in trainer.instrument_runner.on
            ):
                # It has switched itself off again when the step was repeated.
                return
            case SwitchInstrument(name=name, values=values):
                # Readings of one block have one set of names.
                yield from self._block()
                try:
                    trainer.switch_instrument(name, values)
                except InvalidInput as error:
                    problem = str(error)
        yield MessageApplied(trainer.step, message, problem)

    def _pause(self) -> Iterator[Event]:
        self._paused = True
        self._clock.pause()
        self._trainer.sync_divergence()
        if self._trainer.alive:
            self._trainer.instrument_runner.read_unscheduled(self._trainer.step)
        self._path.hurry()
        yield from self._block()
        yield from self._keep("paused")
        yield ActivityChanged(self._trainer.step, "paused")

    # --- reporting --------------------------------------------------------------------------------

    def _evaluate(
        self, *, of: Sequence[int] | None = None, gradient_of: Sequence[int] = ()
    ) -> dict[str, list[float]]:
        """Record the evaluation measures of the runs that continue, or of ``of`` alone.

        Args:
            gradient_of: the runs whose full gradient is due.
        """
        trainer = self._trainer
        values = trainer.evaluate(gradient=bool(gradient_of))
        for name, value in values.items():
            runs = gradient_of if name == FullGradientNorm.name else of
            trainer.recorder.add(name, trainer.step, self._only(runs, value))
        for run in gradient_of:
            self._norm_known_at[run] = trainer.step
        return {name: value.tolist() for name, value in values.items()}

    def _only(self, runs: Sequence[int] | None, values: torch.Tensor) -> torch.Tensor:
        """Return values ``[R]`` of some or (None) all of the runs that continue, NaN for others."""
        trainer = self._trainer
        others = [
            run
            for run in range(trainer.runs)
            if run in trainer.endings or (runs is not None and run not in runs)
        ]
        if others:
            values = values.clone()
            values[others] = math.nan
        return values

    def _record_norms(self, runs: Sequence[int], norms: Sequence[float]) -> None:
        """Record the full gradient norm of some runs at this step, unless it is recorded already.

        The other runs have NaN.
        """
        step = self._trainer.step
        missing = [run for run in runs if self._norm_known_at[run] != step]
        if missing:
            row = self._trainer.theta.new_full((self._trainer.runs,), math.nan)
            for run in missing:
                row[run], self._norm_known_at[run] = norms[run], step
            self._trainer.recorder.add(FullGradientNorm.name, step, row)

    def _apply_stopping_rules(self, values: dict[str, list[float]]) -> None:
        """Apply the stopping rule of every run that has not ended."""
        trainer = self._trainer
        known: list[int] = []

        @functools.cache
        def norms() -> list[float]:
            values: list[float] = trainer.full_gradient_norm().tolist()
            return values

        def norm_of(run: int) -> float:
            known.append(run)
            return norms()[run]

        for run in trainer.alive:
            its_values = {name: column[run] for name, column in values.items()}
            its_values |= known_figures(trainer, run)
            rule = trainer.requested[run].stopping
            memory, reason = rule.verdict(
                trainer.memories[run], trainer.step, its_values, functools.partial(norm_of, run)
            )
            trainer.memories[run] = dict(memory)
            if rule.keeps_best and memory.get("best_step") == trainer.step:
                trainer.keep_best(run)
            if reason is not None:
                # before the parameters of the best evaluation are restored: the series are those of
                # the actual path
                norm_of(run)
                if rule.keeps_best:
                    trainer.restore_best(run)
                trainer.end(run, "finished", reason)
        if known:
            self._record_norms(known, norms())

    def _block(self) -> Iterator[Event]:
        trainer = self._trainer
        trainer.sync_divergence()
        series = trainer.recorder.flush()
        if series:
            yield SeriesBlock(
                trainer.step,
                self._clock.seconds(),
                {name: self._trimmed(name, values) for name, values in series.items()},
            )
        if trainer.alive:
            trainer.instrument_runner.judge(series)
        for image in trainer.instrument_runner.drawn():
            if image.run not in trainer.endings or image.step <= trainer.endings[image.run].step:
                yield image
        yield from self._report_failures()
        now = time.perf_counter()
        if trainer.instrument_runner.on and now >= self._costs_at:
            self._costs_at = now + COST_SECONDS
            yield InstrumentCosts(trainer.step, *trainer.instrument_runner.costs())
        yield from self._mode.news()
        yield from self._report_notes()
        yield from self._report_endings()
        yield from self._path.report()

    def _report_failures(self) -> Iterator[Event]:
        """Report the instruments that switched themselves off."""
        failures = self._trainer.instrument_runner.failures
        while failures:
            name, reason = failures.popitem()
            self._trainer.switch_instrument(name, None)
            yield MessageApplied(self._trainer.step, SwitchInstrument(name, None, reason))

    def _trimmed(self, name: str, series: Series) -> Series:
        """Remove values of runs that had ended.

        The diverging step is the last that is reported; nothing else is measured at it.
        """
        endings = self._trainer.endings
        if self._trainer.runs == 1 or not endings:
            return series
        values = series.values.copy()
        for run, ending in endings.items():
            last = ending.last_reported_step
            if ending.status == "diverged" and name not in self._trainer.recorder.of_steps:
                last -= 1
            values[series.steps > last, run] = float("nan")
        return Series(series.steps, values, series.columns)

    def _report_notes(self) -> Iterator[Event]:
        notes, self._trainer.notes = self._trainer.notes, {}
        yield from self._notes.new(notes, self._trainer.step)

    def _keep(self, reason: str) -> Iterator[Event]:
        for run in self._trainer.alive:
            yield SnapshotTaken(run, self._trainer.snapshot(run, self._clock.seconds(), reason))

    def _report_endings(self) -> Iterator[Event]:
        new = [run for run in self._trainer.endings if run not in self._reported]
        if not new:
            return
        self._reported.update(new)
        self._path.end()
        sound = [run for run in new if self._trainer.endings[run].status != "diverged"]
        if sound:
            self._trainer.instrument_runner.read_unscheduled(
                self._trainer.step, sound if self._trainer.alive else None
            )
            self._costs_at = 0.0
        yield from self._block()
        finals = final_results(self._trainer)
        ended: list[Event] = []
        for run in new:
            ending = self._trainer.endings[run]
            snapshot = self._trainer.snapshot(
                run, self._clock.seconds(), "last_finite" if ending.status == "diverged" else "end"
            )
            ended.append(
                RunEnded(
                    run=run,
                    status=ending.status,
                    steps=ending.step,
                    seconds=snapshot.seconds,
                    final=finals[run].values,
                    confusion=finals[run].confusion,
                    theta_sha256=snapshot.theta_sha256,
                    reason=ending.reason,
                    non_finite_tensor=ending.non_finite_tensor,
                )
            )
            yield SnapshotTaken(run, snapshot)
        # All snapshots come first, so that they are stored together.
        yield from ended

    def _finish(self) -> Iterator[Event]:
        trainer = self._trainer
        trainer.sync_divergence()
        if trainer.alive:
            self._end(trainer.alive)
        self._costs_at = 0.0
        self._path.hurry()
        yield from self._block()
        yield SessionEnded()
