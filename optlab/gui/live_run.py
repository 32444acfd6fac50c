"""A run in progress, with what has to be known of it to show it from now on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from optlab.runners.job_handle import JobHandle, NotRecorded
from optlab.runners.notices import StepOverdue, WorkerSilent
from optlab.training import events
from optlab.training.control import Message, Stop

KEPT_SECONDS = 10.0
"""Time for which values are kept: the store has them much sooner."""


class LiveRun:
    """A job whose events are noted while they are drained.

    Whoever begins to show the run reads what is stored of it, and gets the rest from
    :meth:`catch_up`.

    Args:
        job: that trains; only this object drains it.

    Attributes:
        title: of the experiment, "" where it is not known.
        started: the beginning of the session; None before it.
        activity: what it does. step: the last that is known.
        ended: how it ended, or None. problem: why it failed, hangs or is not recorded, or "".
    """

    def __init__(self, job: JobHandle) -> None:
        self.job = job
        self.title = ""
        self.started: events.SessionStarted | None = None
        self.activity: Literal["running", "paused", "stopping"] = "running"
        self.step = 0
        self.ended: events.RunEnded | None = None
        self.problem = ""
        self._recent: deque[tuple[float, events.SeriesBlock]] = deque()
        self._latest: dict[object, events.Event] = {}
        self._known = -1

    @property
    def run_id(self) -> str:
        """Id under which it is stored; "" where it is not."""
        return next(iter(self.job.run_ids), "")

    @property
    def budget(self) -> int:
        """Steps that it was given, 0 before it has begun."""
        return 0 if self.started is None else self.started.steps

    def send(self, message: Message) -> None:
        """Send a message to it."""
        if isinstance(message, Stop):
            self.activity = "stopping"
        self.job.send(message)

    def drain(self) -> list[events.Event]:
        """Return the events that wait, without values that :meth:`catch_up` left out as known."""
        found = []
        for event in self.job.drain():
            news = event
            if isinstance(event, events.SeriesBlock) and self._known >= 0:
                if event.step <= self._known:
                    continue
                news, self._known = _after(event, self._known), -1
            self._note(news)
            found.append(news)
        return found

    def catch_up(self, step: int, tracked: tuple[str, ...]) -> list[events.Event]:
        """Return what tells of the run as it is now to whoever knows its values up to a step.

        Args:
            step: up to which they are known: read from the store after the run was drained last.
            tracked: names of the followed weights.
        """
        assert self.started is not None, "only a run that has begun can be shown"
        found: list[events.Event] = [replace(self.started, step=step, tracked=tracked)]
        newer = [_after(block, step) for _, block in self._recent if block.step > step]
        # What was recorded before the store was read may still wait to be drained.
        self._known = step if not newer else -1
        found += [*newer, *self._latest.values()]
        if self.activity == "paused":
            found.append(events.ActivityChanged(self.step, "paused"))
        return found

    def _note(self, event: events.Event) -> None:
        match event:
            case events.SessionStarted():
                self.started, self.step = event, event.step
            case events.SeriesBlock():
                self.step = event.step
                now = time.monotonic()
                self._recent.append((now, event))
                while now - self._recent[0][0] > KEPT_SECONDS:
                    self._recent.popleft()
            case events.ActivityChanged(activity=activity):
                if self.activity != "stopping":
                    self.activity = activity
            case events.RunEnded():
                self.ended, self.step = event, event.steps
            case events.SessionFailed(message=words):
                self.problem = words
            case NotRecorded(words=words) | WorkerSilent(words=words) | StepOverdue(words=words):
                self.problem = words
            case _:
                self._keep(event)

    def _keep(self, event: events.Event) -> None:
        """Keep the latest of the events of which only that one is shown."""
        match event:
            case events.InstrumentImage(run=0, name=name):
                self._latest[name] = event
            case (
                events.WeightPath(run=0)
                | events.SnapshotTaken(run=0)
                | events.InstrumentCosts()
                | events.StepModeChanged()
            ):
                self._latest[type(event)] = event
            case _:
                pass


def _after(block: events.SeriesBlock, step: int) -> events.SeriesBlock:
    """Return what a block has after a step."""
    if all(len(one.steps) and one.steps[0] > step for one in block.series.values()):
        return block
    series: Mapping[str, events.Series] = {
        name: events.Series(one.steps[one.steps > step], one.values[one.steps > step], one.columns)
        for name, one in block.series.items()
        if np.any(one.steps > step)
    }
    return events.SeriesBlock(block.step, block.seconds, series)
