"""The watch over a job in progress: says when its worker is silent, or no step ends.

Whoever reads the events of the job looks again and again, so the watch needs no thread and works
while the thread that controls the job is held up.
"""

from __future__ import annotations

import time

from optlab.runners.notices import (
    JobProgress,
    StepCompleted,
    StepOverdue,
    WorkerResponds,
    WorkerSilent,
)
from optlab.runners.runner import Runner
from optlab.training.control import Advance, Message, Resume
from optlab.training.events import (
    ActivityChanged,
    Event,
    SessionEnded,
    SessionFailed,
    SessionStarted,
    TaskProgress,
)

SILENT_SECONDS = 3.5
"""Silence after which a worker counts as hanging; together with the time between two signs of life
and two looks less than 5 s.
"""
OVERDUE_SECONDS = 20.0
"""Time without a step after which the run is said to take long."""
SETUP_SECONDS = 60.0
"""The same before the first step: a worker starts, data are read, weights are pretrained."""
STOP_OVERDUE_SECONDS = 5.0
"""The same after a Stop."""
_LONGEST_LOOK = 1.0
"""Seconds that count, at most, between two looks."""


class JobWatch:
    """Watches one job.

    Args:
        runner: of the job.
        training: whether the job takes steps.

    Attributes:
        silent: whether its worker gives no sign of life.
    """

    def __init__(self, runner: Runner, *, training: bool) -> None:
        self._runner = runner
        self._training = training
        self.silent = False
        self._overdue = False
        self._started = self._stepping = self._paused = self._delivering = False
        self._received = self._seen = 0
        self._waited = self._longest = 0.0
        self._stopping = self._ended = False
        self._looked_at: float | None = None

    # --- by the thread that controls the job ------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """Note an event of the job that is about to be delivered."""
        self._delivering = True
        if isinstance(event, SessionStarted) or (isinstance(event, JobProgress) and event.done):
            self._started = True
        elif isinstance(event, ActivityChanged):
            self._paused = event.activity == "paused"
        elif isinstance(event, SessionEnded | SessionFailed):
            self._ended = True
        if isinstance(event, JobProgress) or not isinstance(event, TaskProgress):
            self._received += 1

    def on_delivered(self) -> None:
        """Note that the job can go on."""
        self._delivering = False

    # --- by any thread ----------------------------------------------------------------------------

    def on_message(self, message: Message) -> None:
        """Note a message to the job."""
        if isinstance(message, Advance | Resume):
            self._paused = False

    def on_stop(self) -> None:
        """Note that the job is to stop."""
        if not self._stopping:
            self._stopping, self._overdue = True, False
            self._waited = 0.0

    def look(self) -> list[TaskProgress]:
        """Return what has changed since the last look, for the user; nothing after the end."""
        if self._ended:
            return []
        now = time.monotonic()
        passed = 0.0 if self._looked_at is None else min(now - self._looked_at, _LONGEST_LOOK)
        self._looked_at = now
        return [*self._silence(), *self._steps(passed)]

    def _silence(self) -> list[TaskProgress]:
        seconds = self._runner.silence()
        if not self.silent and seconds >= SILENT_SECONDS:
            self.silent = True
            advice = self._runner.suspended()
            state = f"it is suspended ({advice})" if advice else "it hangs or is suspended"
            words = f"The worker process has not responded for {seconds:.0f} seconds: {state}."
            return [WorkerSilent(0.0, words)]
        if self.silent and seconds < SILENT_SECONDS:
            self.silent = False
            return [
                WorkerResponds(0.0, "The worker process responds again, and the run continues.")
            ]
        return []

    def _steps(self, passed: float) -> list[TaskProgress]:
        if not self._training:
            return []
        if self._received != self._seen:
            self._seen = self._received
            if self._stepping:  # setting up says nothing about the length of a step
                self._longest = max(self._longest, self._waited)
            self._stepping = self._started
            self._waited = 0.0
            if self._overdue:
                self._overdue = False
                return [StepCompleted(0.0, "The run continues.")]
        elif not (self._delivering or self._paused or self.silent):
            self._waited += passed
            if not self._overdue and self._waited >= self._limit():
                self._overdue = True
                return [StepOverdue(0.0, self._overdue_words())]
        return []

    def _limit(self) -> float:
        """Return the seconds without a step that are no reason to say anything."""
        if self._stopping:
            return STOP_OVERDUE_SECONDS
        return max(OVERDUE_SECONDS, 2.0 * self._longest) if self._started else SETUP_SECONDS

    def _overdue_words(self) -> str:
        seconds = f"{self._waited:.0f} seconds"
        if self._stopping:
            return (
                f"The run has not stopped for {seconds}: its step takes long, or code that it runs "
                "hangs."
            )
        if self._started:
            return (
                f"No step has been completed for {seconds}: the step takes long, or code that it "
                "runs hangs."
            )
        return (
            f"The run has been set up for {seconds} and has not started: that takes long, or code "
            "that it runs hangs."
        )
