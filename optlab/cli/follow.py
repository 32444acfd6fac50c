"""Following one run from its first event to its last, and stopping it in order when the user asks."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal, Protocol, TypeVar

from optlab.cli.progress import View
from optlab.core.errors import StoreError
from optlab.runners import JobHandle, NotRecorded
from optlab.training.control import Stop, SwitchInstrument
from optlab.training.events import (
    Event,
    MessageApplied,
    RunEnded,
    SeriesBlock,
    SessionFailed,
    SessionStarted,
    StepMode,
    StepModeChanged,
)
from optlab.training.final_results import ALWAYS

POLL_SECONDS = 0.1
"""How long at most the command waits before it looks for a signal."""
LAST_SECONDS = 5.0
"""How long it waits for the end of a run that was given up."""


@dataclass
class Outcome:
    """What came of a run; the attributes are the keys of ``run --json``, with "" and None as null.

    Attributes:
        run: its stored name, "" where it is not stored. status: as
            :data:`optlab.training.events.Status`, or ``interrupted`` where it had to be ended by
            force.
        seconds: training time. step_mode: how its last steps were taken, as
            :data:`optlab.training.events.StepMode`; step_mode_reason: why not in a faster way.
        parameters: P. broken: of a diverged run the first tensor that was
            not finite.
        final: what is known of its end, by name; confusion: the confusion matrix of the test part.
        asked_to_stop: the signal that ended it, or 0; signals count as the user's own wish.
        number: which run of its population it is.
        recorded: whether all of it is stored; None where it was not to be stored. recording_error:
            why it is not, one sentence.
        switched_off: instrument → why it switched itself off.
        ranks: number of processes that share every batch.
        ended: whether it has come to its end, so that what happens to others of its population does
            not concern it.
    """

    title: str
    run: str = ""
    status: str = "failed"
    steps: int = 0
    seconds: float = 0.0
    device: str = ""
    runner: str = ""
    step_mode: StepMode | Literal[""] = ""
    step_mode_reason: str = ""
    parameters: int | None = None
    reason: str = ""
    broken: str = ""
    final: Mapping[str, float | None] = field(default_factory=lambda: dict.fromkeys(ALWAYS))
    confusion: tuple[tuple[int, ...], ...] = ()
    theta_sha256: str = ""
    asked_to_stop: int = 0
    number: int = 0
    recorded: bool | None = True
    recording_error: str = ""
    switched_off: dict[str, str] = field(default_factory=dict)
    ranks: int = 1
    ended: bool = False

    @property
    def steps_per_second(self) -> float | None:
        """Speed over the whole run."""
        return self.steps / self.seconds if self.seconds > 0.0 else None

    def document(self) -> dict[str, Any]:
        """Return the document that ``run --json`` prints."""
        return {
            "run": self.run or None,
            "title": self.title,
            "status": self.status,
            "steps": self.steps,
            "seconds": self.seconds,
            "steps_per_second": self.steps_per_second,
            "device": self.device or None,
            "runner": self.runner or None,
            "ranks": self.ranks,
            "step_mode": self.step_mode or None,
            "step_mode_reason": self.step_mode_reason or None,
            "parameters": self.parameters,
            "reason": self.reason or None,
            "broken": self.broken or None,
            "final": dict(self.final),
            "confusion": [list(row) for row in self.confusion] or None,
            "theta_sha256": self.theta_sha256 or None,
            "recorded": self.recorded,
            "recording_error": self.recording_error or None,
            "switched_off": self.switched_off,
        }

    def on_event(self, event: Event) -> None:
        """Record an event."""
        match event:
            case SessionStarted():
                self.device, self.parameters, self.steps = (
                    event.device,
                    event.parameters,
                    event.step,
                )
                self.step_mode = "ordinary"
            case StepModeChanged() if not self.ended:
                self.step_mode, self.step_mode_reason = event.mode, event.reason
            case SeriesBlock() if not self.ended:
                # What is known of a run that does not come to its end.
                self.steps, self.seconds = event.step, event.seconds
            case RunEnded() if event.run == self.number:
                self.ended = True
                self.status, self.steps, self.seconds = event.status, event.steps, event.seconds
                self.reason, self.broken, self.final, self.theta_sha256 = (
                    event.reason,
                    event.non_finite_tensor,
                    event.final,
                    event.theta_sha256,
                )
                self.confusion = event.confusion
            case SessionFailed():
                self.status, self.reason = "failed", event.message
            case MessageApplied(message=SwitchInstrument(name=name, reason=reason)) if reason:
                self.switched_off[name] = reason
            case NotRecorded() if not self.ended:
                self.recorded, self.recording_error = False, event.words
            case _:
                pass

    def on_end(self, run_ids: Sequence[str], runner: str) -> None:
        """Nothing follows.

        The stored names of the population's runs, none where it is not stored, and where it ran.
        """
        if self.asked_to_stop and self.status == "failed":
            self.status = "interrupted"
        self.run = run_ids[self.number] if run_ids else ""
        if not run_ids:
            self.recorded = None
        self.runner = runner


class Listener(Protocol):
    """Records what happens to a population."""

    asked_to_stop: int

    def on_event(self, event: Event) -> None:
        """Record an event."""

    def on_end(self, run_ids: Sequence[str], runner: str) -> None:
        """Nothing follows; see :meth:`Outcome.on_end`."""


Observer = TypeVar("Observer", bound=Listener)


class Signals:
    """Signals that ask for the end of the run.

    Noticed at once, acted on between two looks at its events.

    A handler that did more could interrupt the code that it calls.
    """

    def __init__(self) -> None:
        self.asked: list[int] = []
        self._before = {
            number: signal.signal(number, self) for number in (signal.SIGINT, signal.SIGTERM)
        }

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked.append(number)

    def restore(self) -> None:
        """What was there before has effect again; safe to call twice."""
        while self._before:
            signal.signal(*self._before.popitem())


def follow(begin: Callable[[], JobHandle], outcome: Observer, view: View) -> Observer:
    """Begin a run, or a population, and wait until it is over, showing what it says.

    The first Ctrl-C (or SIGTERM) stops the run between two steps, so that it is stored with what it
    reached; the second ends it by force, where that is possible, and from then on signals do what
    they always do.

    Args:
        begin: gives the job; called when signals are already taken care of.
        outcome: what is known of the run, which is completed and returned.

    Raises:
        OptLabError: what ``begin`` raises; a :class:`StoreError` then says in JSON, too, that
            nothing is recorded.
    """
    signals = Signals()
    try:
        try:
            job = begin()
        except StoreError as error:
            error.facts = {"recorded": False}
            raise
        try:
            _drain_events(job, outcome, view, signals)
        finally:
            view.close()
            # Nothing to an job that has ended; one that has not must not keep the process alive.
            job.cancel()
            job.join(LAST_SECONDS)
    finally:
        signals.restore()
    outcome.on_end(job.run_ids, job.runner)
    return outcome


def _drain_events(job: JobHandle, outcome: Listener, view: View, signals: Signals) -> None:
    acted = 0
    while True:
        # Asked before draining: what is said in between is drained in the next round.
        alive = job.alive
        for event in job.drain():
            outcome.on_event(event)
            view.show(event)
        if not alive:
            return
        if len(signals.asked) > acted:
            acted += 1
            if acted == 1:
                outcome.asked_to_stop = signals.asked[0]
                job.send(Stop())
            else:
                job.cancel()
                signals.restore()
        job.wait(POLL_SECONDS)
