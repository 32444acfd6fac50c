"""The runs that go on while the window follows another one."""

from __future__ import annotations

import time
from collections.abc import Collection

from PySide6.QtCore import QObject, QTimer, Signal

from optlab.gui.bridge import CLOSE_SECONDS, RunBridge
from optlab.gui.live_run import LiveRun
from optlab.training.control import Message

MAX_BESIDE = 7
"""Runs that can go on beside the one that is followed."""
_DRAIN_MILLISECONDS = 100


class RunsBeside(QObject):
    """Drains the events of runs that a bridge has given away, and sends them messages.

    Args:
        bridge: of the run that is followed.
        parent: owner.

    Signals: ``changed()``: runs have come, gone or got further; ``ended(object)``: a
    :class:`~optlab.gui.live_run.LiveRun` has ended; ``troubled(object)``: one reports a problem.
    """

    changed = Signal()
    ended = Signal(object)
    troubled = Signal(object)

    def __init__(self, bridge: RunBridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._runs: dict[str, LiveRun] = {}
        self._timer = QTimer(self, interval=_DRAIN_MILLISECONDS)
        self._timer.timeout.connect(self._drain)

    @property
    def active(self) -> bool:
        """Whether a run goes on beside."""
        return bool(self._runs)

    @property
    def full(self) -> bool:
        """Whether no other run can be taken."""
        return len(self._runs) >= MAX_BESIDE

    @property
    def runs(self) -> tuple[LiveRun, ...]:
        """The runs, in the order in which they came."""
        return tuple(self._runs.values())

    def live(self) -> tuple[LiveRun, ...]:
        """Return all runs of the window that are in progress, the one that is followed first."""
        followed = self._bridge.live
        return (*((followed,) if followed is not None else ()), *self.runs)

    def add(self, live: LiveRun) -> None:
        """Let a run go on here, which the bridge has released."""
        self._runs[live.run_id] = live
        self._timer.start()
        self.changed.emit()

    def give(self, run_id: str) -> LiveRun | None:
        """Give a run away, to be followed; None where it is not here or no longer in progress."""
        live = self._runs.get(run_id)
        if live is None or not live.job.alive:
            return None
        del self._runs[run_id]
        self.changed.emit()
        return live

    def find(self, run_id: str) -> LiveRun | None:
        """Return a run of the window that is in progress, the one that is followed included."""
        return next((one for one in self.live() if run_id and one.run_id == run_id), None)

    def send(self, run_ids: Collection[str], message: Message) -> None:
        """Send a message to those of these runs that are in progress in this window."""
        for live in self.live():
            if live.run_id in run_ids:
                live.send(message)
        self.changed.emit()

    def shut_down(self) -> bool:
        """Stop all runs, save what they have reached, and return whether they ended in time."""
        self._timer.stop()
        runs, self._runs = self.runs, {}
        for live in runs:
            live.job.cancel()
        deadline = time.monotonic() + CLOSE_SECONDS
        ended = [live.job.join(max(0.0, deadline - time.monotonic())) for live in runs]
        return all(ended)

    def _drain(self) -> None:
        for live in self.runs:
            before = live.problem
            # Read before draining: a job that ends in between is drained once more.
            alive = live.job.alive
            live.drain()
            if live.problem != before:
                self.troubled.emit(live)
            if not alive:
                live.job.join(CLOSE_SECONDS)
                self._runs.pop(live.run_id, None)
                self.ended.emit(live)
        if not self._runs:
            self._timer.stop()
        self.changed.emit()
