"""What is seen of a run while it goes.

A bar on a terminal, a few lines in a file or pipe, nothing for a program that wants JSON.

All of it goes to standard error, so that standard output holds the result alone.
"""

from __future__ import annotations

import math
import sys
from typing import Protocol

import numpy as np

from optlab.core.limits import UNTIL_STOPPED
from optlab.experiment import Experiment
from optlab.runners import (
    NotRecorded,
    RecordingHeld,
    RecordingResumed,
    StepOverdue,
    WorkerOutput,
    WorkerResponds,
    WorkerSilent,
)
from optlab.training.control import SwitchInstrument
from optlab.training.events import (
    Event,
    MessageApplied,
    SeriesBlock,
    SessionStarted,
    StepWarning,
)

LINES = 10
"""Lines that a run writes where there is no terminal: one each time this share of the budget has
passed.
"""


def warn(event: Event) -> None:
    """Say on standard error what the user must know: see :func:`warning`."""
    sentence = warning(event)
    if sentence:
        print(sentence, file=sys.stderr, flush=True)


def warning(event: Event) -> str:
    """Return what an event says that the user must know; "" for events that are no warning.

    A run is not stored any more, waits for room, or seems to hang; an instrument has switched
    itself off; code of the user's has printed something.
    """
    match event:
        case NotRecorded() | RecordingHeld() | RecordingResumed() | WorkerResponds():
            return event.words
        case WorkerOutput():
            return event.words.rstrip("\n")
        case WorkerSilent():
            return f"{event.words} Press Ctrl-C to end the run."
        case StepOverdue():
            return f"{event.words} Ctrl-C stops the run after it; a second Ctrl-C ends it at once."
        case MessageApplied(message=SwitchInstrument(reason=reason)) if reason:
            return f"step {event.step:,}: {reason}"
        case _:
            return ""


class View(Protocol):
    """Shows the progress of a run."""

    def show(self, event: Event) -> None:
        """Show an event of the session."""

    def close(self) -> None:
        """Stop showing; safe to call twice."""


class Silence:
    """Shows warnings only."""

    def show(self, event: Event) -> None:
        """See :class:`View`."""
        warn(event)

    def close(self) -> None:
        """See :class:`View`."""


class RunProgress:
    """The progress of a run as text, for the bar and for plain lines."""

    def __init__(self, experiment: Experiment) -> None:
        self._seconds_allowed = experiment.budget.seconds
        self._steps = max(1, experiment.budget.steps)
        self._latest: dict[str, float] = {}
        self._step = 0
        self._seconds = 0.0

    def started(self, event: SessionStarted) -> str:
        """Return the first line."""
        self._step, self._steps = event.step, max(1, event.steps)
        origin = f" from step {event.step:,}" if event.step else ""
        budget = (
            "steps until you stop it" if event.steps >= UNTIL_STOPPED else f"{event.steps:,} steps"
        )
        return f"{event.parameters:,} parameters, {budget}{origin}, {event.steps_per_epoch:,} an epoch, on {event.device_name}"

    def add(self, block: SeriesBlock) -> None:
        """Record new values."""
        self._step, self._seconds = block.step, block.seconds
        for name in ("batch_loss", "train_loss", "validation_error", "validation_loss"):
            if name in block.series and len(block.series[name].values):
                row = block.series[name].values[-1]
                # Of several runs, the best that is still finite.
                sound = row[np.isfinite(row)]
                self._latest[name] = float(sound.min()) if len(sound) else math.nan

    @property
    def share(self) -> float:
        """How much of the budget, in steps or in seconds, is spent; from 0 to 1."""
        limit = self._seconds_allowed
        return min(
            1.0, max(self._step / self._steps, self._seconds / limit if limit > 0.0 else 0.0)
        )

    @property
    def place(self) -> str:
        """The current step."""
        if self._steps >= UNTIL_STOPPED:
            return f"step {self._step:,}"
        return f"step {self._step:,} of {self._steps:,}"

    @property
    def words(self) -> str:
        """Loss, what validation says, and speed."""
        parts = [f"loss {self._latest['batch_loss']:.4g}"] if "batch_loss" in self._latest else []
        if math.isfinite(self._latest.get("validation_error", math.nan)):
            parts.append(f"validation error {self._latest['validation_error']:.2%}")
        elif math.isfinite(self._latest.get("validation_loss", math.nan)):
            parts.append(f"validation loss {self._latest['validation_loss']:.4g}")
        if self._seconds > 0.0:
            parts.append(f"{self._step / self._seconds:,.0f} steps/s")
        return ", ".join(parts)


class Lines:
    """A few plain lines."""

    def __init__(self, experiment: Experiment) -> None:
        self._run = RunProgress(experiment)
        self._next = 1.0 / LINES

    def show(self, event: Event) -> None:
        """See :class:`View`."""
        match event:
            case SessionStarted():
                print(self._run.started(event), file=sys.stderr, flush=True)
            case SeriesBlock():
                self._run.add(event)
                if self._run.share >= self._next:
                    self._next = (math.floor(self._run.share * LINES) + 1) / LINES
                    print(f"{self._run.place}: {self._run.words}", file=sys.stderr, flush=True)
            case StepWarning():
                print(f"step {event.step:,}: {event.words}", file=sys.stderr, flush=True)
            case _:
                warn(event)

    def close(self) -> None:
        """See :class:`View`."""


class Bar:
    """A progress bar with loss, validation, speed and the time left."""

    def __init__(self, experiment: Experiment) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        self._run = RunProgress(experiment)
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.fields[place]}"),
            BarColumn(bar_width=12),
            TimeRemainingColumn(),
            TextColumn(
                "{task.fields[words]}", table_column=Column(no_wrap=True, overflow="ellipsis")
            ),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=1.0, place="setting up", words="")
        self._progress.start()

    def show(self, event: Event) -> None:
        """See :class:`View`."""
        match event:
            case SessionStarted():
                self._console.print(self._run.started(event), markup=False)
            case SeriesBlock():
                self._run.add(event)
                self._progress.update(
                    self._task,
                    completed=self._run.share,
                    place=self._run.place.removeprefix("step ").replace(" of ", "/"),
                    words=self._run.words.replace("validation", "val."),
                )
            case StepWarning():
                self._console.print(f"step {event.step:,}: {event.words}", markup=False)
            case _:
                sentence = warning(event)
                if sentence:
                    self._console.print(sentence, markup=False)

    def close(self) -> None:
        """See :class:`View`."""
        self._progress.stop()


def view(experiment: Experiment, *, silent: bool) -> View:
    """Return the view that suits where standard error goes."""
    if silent:
        return Silence()
    return Bar(experiment) if sys.stderr.isatty() else Lines(experiment)
