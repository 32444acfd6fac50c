"""The bridge between the window and the threads and processes that work for it: the only file of
the window that knows of them.

A background thread owns a run; this end drains what it has said thirty times a second and passes it
on as Qt signals in the window's own thread. There is no signal per step: a fast run says thousands
of things a second, a screen shows thirty.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from optlab.core import paths
from optlab.core.errors import OptLabError
from optlab.experiment import Experiment
from optlab.runners.job_handle import JobHandle, NotRecorded, RecordingHeld, RecordingResumed
from optlab.runners.pool import WorkerPool
from optlab.runners.process import ProcessRunner
from optlab.runners.train import RunnerChoice, resume, train
from optlab.tasks.task import Task
from optlab.training import events
from optlab.training.control import Message, Stop

FRAME_MILLISECONDS = 33
"""Time between two frames."""
EXPECTED_DRAW_SHARE = 0.3
"""Share of a frame that drawing is taken to need before any was measured."""
CLOSE_SECONDS = 2.5
"""How long closing waits for a run to save and end."""


class RunBridge(QObject):
    """Owns at most one run at a time, on behalf of the window.

    Signals carry the engine's events (:mod:`optlab.training.events`) as objects.
    """

    sessionStarted = Signal(object)
    blockArrived = Signal(object)
    pathArrived = Signal(object)
    pictureArrived = Signal(object)
    costsArrived = Signal(object)
    activityChanged = Signal(str)
    messageApplied = Signal(object)
    stepNoted = Signal(object)
    runEnded = Signal(object)
    runFailed = Signal(str, str)
    notRecorded = Signal(str)
    recordingHeld = Signal(str)
    recordingWentOn = Signal(str)
    sessionEnded = Signal()
    frameBegan = Signal()
    frameEnded = Signal()
    """All events of a frame have been passed on: the moment to draw."""

    def __init__(self, pool: WorkerPool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = pool
        self._owner: JobHandle | None = None
        self._draw_share = EXPECTED_DRAW_SHARE
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(FRAME_MILLISECONDS)
        self._timer.timeout.connect(self._frame)

    @property
    def active(self) -> bool:
        """Whether a run is going or still has something to say."""
        return self._owner is not None

    @property
    def runner(self) -> str:
        """``thread`` or ``process``, or "" where nothing runs."""
        return self._owner.runner if self._owner is not None else ""

    @property
    def run_ids(self) -> Sequence[str]:
        """Stored names of the runs that are going."""
        return self._owner.run_ids if self._owner is not None else ()

    def start(
        self, experiment: Experiment, runner: RunnerChoice = "auto", first: Sequence[Message] = ()
    ) -> None:
        """Begin a run; the messages ``first`` are applied before its first step.

        Raises:
            OptLabError: the run cannot be stored.
        """
        home, log = paths.writable_home(), [(0, message) for message in first]
        self._begin(
            train(
                [experiment],
                runner=runner,
                draw_share=self._draw_share,
                store=home,
                pool=self._pool,
                log=log,
            )
        )

    def resume(self, run_id: str, runner: RunnerChoice = "auto") -> None:
        """Go on with a stored run that was interrupted or stopped.

        Raises:
            OptLabError: it cannot be resumed; the message says why.
        """
        self._begin(
            resume(
                [run_id],
                store=paths.writable_home(),
                runner=runner,
                draw_share=self._draw_share,
                pool=self._pool,
            )
        )

    def send(self, message: Message) -> None:
        """Leave a message for the run; nothing happens where none is going."""
        if self._owner is not None:
            self._owner.send(message)

    def shut_down(self) -> bool:
        """End the run, keeping what it reached; whether it ended in time. The window's last act."""
        self._timer.stop()
        owner, self._owner = self._owner, None
        if owner is None:
            return True
        owner.cancel()
        return owner.join(CLOSE_SECONDS)

    def _begin(self, owner: JobHandle) -> None:
        self._owner = owner
        self._timer.start()

    def _frame(self) -> None:
        owner = self._owner
        if owner is None:
            self._timer.stop()
            return
        self.frameBegan.emit()
        # Asked before draining: an owner that ends in between is drained once more at the next
        # frame.
        alive = owner.alive
        for event in owner.drain():
            self._pass_on(event)
        begun = time.perf_counter()
        self.frameEnded.emit()
        spent = (time.perf_counter() - begun) / (FRAME_MILLISECONDS / 1000.0)
        self._draw_share += 0.1 * (min(spent, 1.0) - self._draw_share)
        if not alive and self._owner is owner:
            owner.join(CLOSE_SECONDS)
            self._owner = None
            self._timer.stop()
            self.sessionEnded.emit()

    def _pass_on(self, event: events.Event) -> None:
        match event:
            case events.SeriesBlock():
                self.blockArrived.emit(event)
            case events.WeightPath():
                self.pathArrived.emit(event)
            case events.SessionStarted():
                self.sessionStarted.emit(event)
            case events.InstrumentImage():
                self.pictureArrived.emit(event)
            case events.InstrumentCosts():
                self.costsArrived.emit(event)
            case events.ActivityChanged(activity=activity):
                self.activityChanged.emit(activity)
            case events.MessageApplied():
                self.messageApplied.emit(event)
            case events.StepWarning():
                self.stepNoted.emit(event)
            case events.RunEnded():
                self.runEnded.emit(event)
            case events.SessionFailed(message=message, detail=detail):
                self.runFailed.emit(message, detail)
            case NotRecorded(words=words):
                self.notRecorded.emit(words)
            case RecordingHeld(words=words):
                self.recordingHeld.emit(words)
            case RecordingResumed(words=words):
                self.recordingWentOn.emit(words)
            case _:
                pass


class TaskBridge(QObject):
    """Has questions answered in a worker; of several only the newest is answered, and one that is
    under way is given up for it.

    Signals: ``answered(object)``: an answer, the last of a question's being the whole one;
    ``failed(str)``: why there is none, in words; ``finished()``: nothing is under way any more.
    """

    answered = Signal(object)
    failed = Signal(str)
    finished = Signal()

    def __init__(self, pool: WorkerPool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = pool
        self._owner: JobHandle | None = None
        self._waiting: Task | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(FRAME_MILLISECONDS)
        self._timer.timeout.connect(self._look)

    @property
    def active(self) -> bool:
        """Whether a question is under way."""
        return self._owner is not None

    def ask(self, question: Task) -> None:
        """Ask a question in place of the one before."""
        self._waiting = question
        if self._owner is None:
            self._next()

    def give_up(self) -> None:
        """Tell the question that is under way to end with what it has, and ask none after it."""
        self._waiting = None
        if self._owner is not None:
            self._owner.send(Stop())

    def shut_down(self) -> bool:
        """Drop what is under way; whether it ended in time."""
        self._timer.stop()
        owner, self._owner, self._waiting = self._owner, None, None
        if owner is None:
            return True
        owner.cancel()
        return owner.join(CLOSE_SECONDS)

    def _next(self) -> None:
        if self._waiting is None:
            self.finished.emit()
            return
        question, self._waiting = self._waiting, None
        # An answer has nothing to save: given up, its worker may be killed at once. A runner that
        # was told to kill its worker kills every later one, too: each question has its own.
        self._owner = JobHandle(question, ProcessRunner(self._pool), stop_seconds=0.0)
        self._owner.start()
        self._timer.start()

    def _look(self) -> None:
        owner = self._owner
        if owner is None:
            self._timer.stop()
            return
        alive = owner.alive
        outdated = self._waiting is not None
        for event in owner.drain():
            if outdated:
                continue
            if isinstance(event, events.TaskResult):
                self.answered.emit(event.value)
            elif isinstance(event, events.SessionFailed):
                self.failed.emit(event.message)
        if not alive:
            owner.join(CLOSE_SECONDS)
            self._owner = None
            self._timer.stop()
            self._next()


class WorkerPrewarmer:
    """Keeps a worker warm: started in the background once the window is on the screen, so that
    Start answers at once.
    """

    def __init__(self) -> None:
        self.pool = WorkerPool()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start a worker without making the window wait."""
        self._thread = threading.Thread(target=self._warm, name="optlab-warm-up")
        self._thread.start()

    def _warm(self) -> None:
        try:
            self.pool.warm()
        except (OSError, OptLabError):
            # Not fatal: the first run starts its own worker, and says so in words if that fails
            # too.
            return

    def end(self) -> None:
        """Ask the workers to leave and wait until they have."""
        if self._thread is not None:
            self._thread.join()
        self.pool.close(0.1)
