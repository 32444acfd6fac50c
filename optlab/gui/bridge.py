"""The bridge between the window and the threads and processes that work for it.

This is the only file of the window that uses threads or processes. A background thread runs the
job; the bridge drains its events thirty times a second and delivers them in the window's own
thread. There is no signal per step: a fast run emits thousands of events a second, and a screen
shows thirty frames.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from optlab.core import paths
from optlab.core.errors import OptLabError
from optlab.experiment import Experiment
from optlab.runners.job_handle import JobHandle
from optlab.runners.notices import WorkerSilent
from optlab.runners.pool import WorkerPool
from optlab.runners.process import ProcessRunner
from optlab.runners.train import RunnerChoice, resume, train
from optlab.tasks.task import Task
from optlab.training import events
from optlab.training.control import Message, Stop

FRAME_MILLISECONDS = 33
"""Time between two frames."""
EXPECTED_DRAW_SHARE = 0.3
"""Share of a frame that drawing is assumed to need before the first measurement."""
CLOSE_SECONDS = 2.5
"""How long closing waits for a run to be saved and to end."""

E = TypeVar("E", bound=events.Event)


class _Channel(QObject):
    """Delivers the events of one type.

    Qt signals, and not a list of functions: a handler that raises keeps no other handler from its
    event, and the handlers of a deleted object are disconnected.
    """

    arrived = Signal(object)


class RunBridge(QObject):
    """Executes at most one run at a time on behalf of the window.

    The events of a run (:mod:`optlab.training.events`) are delivered to the handlers that
    :meth:`on` registered for their type.

    Signals: ``frameBegan()`` and ``frameEnded()``: before the events of a frame are delivered, and
    after, when it is time to draw; ``sessionEnded()``: all events of the run have been delivered.
    """

    sessionEnded = Signal()
    frameBegan = Signal()
    frameEnded = Signal()

    def __init__(self, pool: WorkerPool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = pool
        self._job: JobHandle | None = None
        self._channels: dict[type[object], _Channel] = {}
        self._draw_share = EXPECTED_DRAW_SHARE
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(FRAME_MILLISECONDS)
        self._timer.timeout.connect(self._frame)

    def on(self, kind: type[E], handler: Callable[[E], object]) -> None:
        """Call a handler with every event of exactly this type.

        Handlers are called in the order of their registration.
        """
        if kind not in self._channels:
            self._channels[kind] = _Channel(self)
        self._channels[kind].arrived.connect(handler)

    @property
    def active(self) -> bool:
        """Whether a run is in progress, or has events that were not delivered yet."""
        return self._job is not None

    @property
    def runner(self) -> str:
        """``thread`` or ``process``, or "" while no run is in progress."""
        return self._job.runner if self._job is not None else ""

    @property
    def run_ids(self) -> Sequence[str]:
        """Ids under which the runs in progress are stored."""
        return self._job.run_ids if self._job is not None else ()

    def start(
        self, experiment: Experiment, runner: RunnerChoice = "auto", first: Sequence[Message] = ()
    ) -> None:
        """Start a run; the messages ``first`` are applied before its first step.

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
        """Resume a stored run that was interrupted or stopped.

        Raises:
            OptLabError: the run cannot be resumed; the message says why.
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
        """Send a message to the run; without a run in progress, do nothing."""
        if self._job is not None:
            self._job.send(message)

    def end(self) -> None:
        """End the run, by force where it does not stop by itself within two seconds."""
        if self._job is not None:
            self._job.cancel()

    def shut_down(self) -> bool:
        """Stop the run, save what it has reached, and return whether it ended in time.

        Called once, when the window closes.
        """
        self._timer.stop()
        job, self._job = self._job, None
        if job is None:
            return True
        job.cancel()
        return job.join(CLOSE_SECONDS)

    def _begin(self, job: JobHandle) -> None:
        self._job = job
        self._timer.start()

    def _frame(self) -> None:
        job = self._job
        if job is None:
            self._timer.stop()
            return
        self.frameBegan.emit()
        # Read before draining: a job that ends in between is drained once more at the next frame.
        alive = job.alive
        for event in job.drain():
            channel = self._channels.get(type(event))
            if channel is not None:
                channel.arrived.emit(event)
        begun = time.perf_counter()
        self.frameEnded.emit()
        spent = (time.perf_counter() - begun) / (FRAME_MILLISECONDS / 1000.0)
        self._draw_share += 0.1 * (min(spent, 1.0) - self._draw_share)
        if not alive and self._job is job:
            job.join(CLOSE_SECONDS)
            self._job = None
            self._timer.stop()
            self.sessionEnded.emit()


class TaskBridge(QObject):
    """Executes tasks in a worker process, one at a time.

    Only the newest task counts: submitting one replaces the task that waits, and the results of the
    task in progress are discarded.

    Signals: ``answered(object)``: a result; a task may emit intermediate results, the last one is
    complete. ``failed(str)``: the error message of a task that failed. ``finished()``: no task is
    in progress any more.
    """

    answered = Signal(object)
    failed = Signal(str)
    finished = Signal()

    def __init__(self, pool: WorkerPool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = pool
        self._job: JobHandle | None = None
        self._waiting: Task | None = None
        self._silent = ""
        self._timer = QTimer(self)
        self._timer.setInterval(FRAME_MILLISECONDS)
        self._timer.timeout.connect(self._poll)

    @property
    def active(self) -> bool:
        """Whether a task is in progress."""
        return self._job is not None

    def ask(self, task: Task) -> None:
        """Execute a task in place of the one before."""
        self._waiting = task
        if self._job is None:
            self._start_next()

    def give_up(self) -> None:
        """Ask the task in progress to stop with the result it has, and drop the waiting task."""
        self._waiting = None
        if self._job is not None:
            self._job.send(Stop())

    def shut_down(self) -> bool:
        """Cancel the task in progress and return whether it ended in time."""
        self._timer.stop()
        job, self._job, self._waiting = self._job, None, None
        if job is None:
            return True
        job.cancel()
        return job.join(CLOSE_SECONDS)

    def _start_next(self) -> None:
        if self._waiting is None:
            self.finished.emit()
            return
        task, self._waiting = self._waiting, None
        # A task has nothing to save: when it is cancelled, its worker may be killed at once. A
        # runner that has killed its worker kills every later one, too, so each task has its own.
        self._silent = ""
        self._job = JobHandle(task, ProcessRunner(self._pool), stop_seconds=0.0)
        self._job.start()
        self._timer.start()

    def _poll(self) -> None:
        job = self._job
        if job is None:
            self._timer.stop()
            return
        alive = job.alive
        outdated = self._waiting is not None
        for event in job.drain():
            if outdated:
                continue
            if isinstance(event, events.TaskResult):
                self.answered.emit(event.value)
            elif isinstance(event, events.SessionFailed):
                self.failed.emit(self._silent or event.message)
            elif isinstance(event, WorkerSilent):
                # A task has nothing to lose: it is ended, and can be tried again.
                self._silent = f"{event.words} It was ended; try again."
                job.cancel()
        if not alive:
            job.join(CLOSE_SECONDS)
            self._job = None
            self._timer.stop()
            self._start_next()


class WorkerPrewarmer:
    """Starts a worker process in the background once the window is shown.

    *Start* then responds without delay.

    Attributes:
        pool: the workers that all parts of the window share.
    """

    def __init__(self) -> None:
        self.pool = WorkerPool()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start a worker without blocking the window."""
        self._thread = threading.Thread(target=self._warm_up, name="optlab-warm-up")
        self._thread.start()

    def _warm_up(self) -> None:
        try:
            self.pool.warm()
        except (OSError, OptLabError):
            # Not fatal: the first run starts its own worker, and reports the error if that fails.
            return

    def end(self) -> None:
        """Ask the workers to exit, and wait until they have."""
        if self._thread is not None:
            self._thread.join()
        self.pool.close(0.1)
