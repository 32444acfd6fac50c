"""Conducts one study or claim at a time for the window, and says how far it is."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from optlab.gui.bridge import TaskBridge
from optlab.gui.panels.control_bar import duration
from optlab.gui.studies.time_left import TimeLeft
from optlab.runners.conducting import ConductClaimTask, ConductStudyTask
from optlab.studies.claims.conducting import ClaimBegun, ClaimEnded
from optlab.studies.comparison.conduct import (
    StudyBegun,
    StudyEnded,
    StudyNotice,
    StudyProgress,
)


class StudyConductor(QObject):
    """Gives studies and claims to a background thread, whose populations train in workers.

    Signals: ``begun(str)``: id of the stored study that is conducted now; ``progressed(float, str)``:
    share of the stage, and words; ``noticed(str)``: what the user may have to know;
    ``ended(str, str)``: how it ended (``finished``, ``stopped`` or ``failed``), and why, or "".
    """

    begun = Signal(str)
    progressed = Signal(float, str)
    noticed = Signal(str)
    ended = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # The conductor waits more than it computes; where it trains is its launcher's business.
        self._tasks = TaskBridge(None, self)
        self._left = TimeLeft()
        self._trials = 0
        self._claim = False
        self._status, self._reason = "", ""
        self._busy = False
        self.study_id = ""
        self._tasks.answered.connect(self._received)
        self._tasks.failed.connect(self._failed)
        self._tasks.finished.connect(self._finished)

    @property
    def active(self) -> bool:
        """Whether something is being conducted."""
        return self._busy

    def start(self, task: ConductStudyTask | ConductClaimTask) -> None:
        """Conduct a study or a claim, unless one is being conducted."""
        if self._busy:
            return
        self._claim = isinstance(task, ConductClaimTask)
        self._status, self._reason, self.study_id, self._trials = "failed", "", "", 0
        self._busy = True
        self._tasks.ask(task)

    def stop(self) -> None:
        """Stop between two steps; what was reached is kept."""
        self._tasks.give_up()

    def end(self) -> bool:
        """Stop because the window closes, and return whether it ended in time."""
        self._busy = False
        return self._tasks.end()

    def _received(self, event: object) -> None:
        match event:
            case StudyBegun():
                self.study_id, self._trials = event.id, event.trials
                self._status, self._reason = "failed", ""
                self.begun.emit(event.id)
            case StudyProgress():
                self.progressed.emit(event.done, self._words(event))
            case StudyNotice():
                self.noticed.emit(getattr(event.event, "words", ""))
            case StudyEnded():
                self._status, self._reason = event.status, event.reason
            case ClaimBegun():
                self.progressed.emit(0.0, f"{event.claim.id}: what is stored is read")
            case ClaimEnded():
                if event.outcome is not None:
                    self._status, self._reason = "finished", ""
                elif self._status == "finished":
                    self._status, self._reason = "failed", event.reason

    def _words(self, event: StudyProgress) -> str:
        left = self._left.seconds(f"{self.study_id} {event.words}", event.done)
        parts = [event.words]
        if left is not None:
            parts.append(f"{duration(left)} left")
        if self._trials and event.trials:
            parts.append(f"{event.trials:,} of {self._trials:,} runs complete")
        elif self._trials:
            parts.append(f"{self._trials:,} runs")
        parts += event.populations[:2]
        more = len(event.populations) - 2
        if more > 0:
            parts.append(f"and {more} more")
        return "  ·  ".join(parts)

    def _failed(self, sentence: str) -> None:
        self._status, self._reason = "failed", sentence

    def _finished(self) -> None:
        if self._busy:
            self._busy = False
            self.ended.emit(self._status, self._reason)
