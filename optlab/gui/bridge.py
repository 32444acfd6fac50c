"""The bridge between the window and the threads and processes that work for it.

This is the only file of the window that uses threads or processes. A background thread runs the
job; the bridge drains its events thirty times a second and delivers them in the window's own
thread. There is no signal per step: a fast run emits thousands of events a second, and a screen
shows thirty frames.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from optlab.core import paths
from optlab.core.errors import OptLabError
from optlab.experiment import Experiment
from optlab.gui.live_run import LiveRun
from optlab.gui.turn import Turn
from optlab.history.forking import Fork
from optlab.runners.choice import choose
from optlab.runners.job_handle import JobHandle
from optlab.runners.jobs import failure, unexpected
from optlab.runners.notices import WorkerSilent
from optlab.runners.pool import WorkerPool
from optlab.runners.process import ProcessRunner
from optlab.runners.thread import ThreadRunner
from optlab.runners.train import RunnerChoice, resume, train
from optlab.store import Store
from optlab.tasks.task import OnStoredRun, Task
from optlab.training import events
from optlab.training.control import Message, Stop

FRAME_MILLISECONDS = 33
"""Time between two frames."""
EXPECTED_DRAW_SHARE = 0.3
"""Share of a frame that drawing is assumed to need before the first measurement."""
CLOSE_SECONDS = 2.5
"""How long closing waits for a run to be saved and to end."""
MEASURE_DELAY_SECONDS = 1.0
"""Time after the first paint at which the window is quiet enough to measure the interpreter lock."""

E = TypeVar("E", bound=events.Event)


class _Channel(QObject):
    """Delivers the events of one type.

    Qt signals, and not a list of functions: a handler that raises keeps no other handler from its
    event, and the handlers of a deleted object are disconnected.
    """

    arrived = Signal(object)


class _Opening:
    """Starts a job in a background thread: a store may be slow, locked, or in need of migration.

    Args:
        open_job: returns the started job.

    Attributes:
        job: once it has started.
        failure: why it could not be started, or None.
    """

    def __init__(self, open_job: Callable[[], JobHandle]) -> None:
        self.job: JobHandle | None = None
        self.failure: events.SessionFailed | None = None
        self._open_job = open_job
        self._abandoned = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="optlab-start")
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def abandon(self, timeout: float) -> None:
        """Cancel the job, now or as soon as it has started; wait ``timeout`` seconds at most."""
        with self._lock:
            self._abandoned = True
        self._thread.join(timeout)
        if self.job is not None:
            self.job.cancel()

    def _run(self) -> None:
        try:
            job = self._open_job()
        except OptLabError as error:
            self.failure = failure(error)
        except Exception as error:  # noqa: BLE001 - becomes an event with its traceback
            self.failure = unexpected(error)
        else:
            with self._lock:
                self.job = job
                if self._abandoned:
                    job.cancel()


class RunBridge(QObject):
    """Executes the run that the window follows; others go on beside (:meth:`release`).

    Attributes:
        snapshot_bytes: bytes of snapshots that a run keeps, None for the default.

    The events of a run (:mod:`optlab.training.events`) are delivered to the handlers that
    :meth:`on` registered for their type.

    Signals: ``frameBegan()`` and ``frameEnded()``: before the events of a frame are delivered, and
    after, when it is time to draw; ``sessionEnded()``: all events of the run have been delivered, or
    it goes on without the bridge.
    """

    sessionEnded = Signal()
    frameBegan = Signal()
    frameEnded = Signal()

    def __init__(self, pool: WorkerPool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = pool
        self._live: LiveRun | None = None
        self._opening: _Opening | None = None
        self._early: list[Message] = []
        self._channels: dict[type[object], _Channel] = {}
        self._draw_share = EXPECTED_DRAW_SHARE
        self.snapshot_bytes: int | None = None
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
        """Whether a run is being started, is in progress, or has events that wait."""
        return self._live is not None or self._opening is not None

    @property
    def live(self) -> LiveRun | None:
        """The run in progress, once it has been started."""
        return self._live

    @property
    def runner(self) -> str:
        """``thread`` or ``process``, or "" while no run is in progress."""
        return self._live.job.runner if self._live is not None else ""

    @property
    def run_ids(self) -> Sequence[str]:
        """Ids under which the runs in progress are stored."""
        return self._live.job.run_ids if self._live is not None else ()

    def start(
        self,
        experiment: Experiment,
        runner: RunnerChoice = "auto",
        first: Sequence[Message] = (),
        fork: Fork | None = None,
    ) -> None:
        """Start a run in the background.

        If it cannot be stored, a :class:`~optlab.training.events.SessionFailed` says why.

        Args:
            experiment: to train.
            runner: where.
            first: messages that are applied before the first step.
            fork: where the run begins, unless at its own start.
        """
        begin = 0 if fork is None else fork.at
        log, draw_share = [(begin, message) for message in first], self._draw_share
        self._open(
            lambda store: train(
                [experiment],
                runner=runner,
                draw_share=draw_share,
                store=store,
                pool=self._pool,
                log=log,
                fork=fork,
            )
        )

    def resume(
        self, run_id: str, runner: RunnerChoice = "auto", *, changed_data: bool = False
    ) -> None:
        """Resume a stored run that was interrupted or stopped, in the background.

        If it cannot be resumed, a :class:`~optlab.training.events.SessionFailed` says why.

        Args:
            run_id: its id.
            runner: where.
            changed_data: whether to go on although the files that it has read have changed.
        """
        draw_share = self._draw_share
        self._open(
            lambda store: resume(
                [run_id],
                store=store,
                runner=runner,
                draw_share=draw_share,
                pool=self._pool,
                changed_data=changed_data,
            )
        )

    def send(self, message: Message) -> None:
        """Send a message to the run; without a run in progress, do nothing."""
        if self._live is not None:
            self._live.send(message)
        elif self._opening is not None:
            self._early.append(message)

    def end(self) -> None:
        """End the run, by force where it does not stop by itself within two seconds."""
        if self._live is not None:
            self._live.job.cancel()

    def release(self) -> LiveRun | None:
        """Give the run in progress away, to be drained elsewhere; None where none has begun."""
        live = self._live
        if live is None or live.started is None:
            return None
        self._live = None
        self._timer.stop()
        self.sessionEnded.emit()
        return live

    def adopt(self, live: LiveRun, step: int, tracked: tuple[str, ...]) -> None:
        """Deliver the events of a run that was given away.

        Args:
            live: the run, while this bridge has none. step: up to which its values are known.
            tracked: names of the followed weights.
        """
        self._live = live
        self.frameBegan.emit()
        for event in live.catch_up(step, tracked):
            self._emit(event)
        self.frameEnded.emit()
        self._timer.start()

    def drew(self, seconds: float) -> None:
        """Say how long the drawing of a frame has taken, by which the next run chooses its runner."""
        share = min(1000.0 * seconds / FRAME_MILLISECONDS, 1.0)
        self._draw_share += 0.1 * (share - self._draw_share)

    def shut_down(self) -> bool:
        """Stop the run, save what it has reached, and return whether it ended in time.

        Called once, when the window closes.
        """
        self._timer.stop()
        live, self._live = self._live, None
        opening, self._opening = self._opening, None
        job = None if live is None else live.job
        if opening is not None:
            opening.abandon(CLOSE_SECONDS)
            if opening.alive:
                return False
            job = opening.job
        if job is None:
            return True
        job.cancel()
        return job.join(CLOSE_SECONDS)

    def _open(self, begin: Callable[[Store], JobHandle]) -> None:
        kept = self.snapshot_bytes

        def open_job() -> JobHandle:
            with Store.open(paths.writable_home()) as store:
                if kept is not None:
                    store.snapshot_bytes = kept
                return begin(store)

        self._opening = _Opening(open_job)
        self._timer.start()

    def _begin(self, job: JobHandle) -> None:
        self._live = LiveRun(job)
        self._timer.start()

    def _opened(self, opening: _Opening) -> None:
        """Take over the job that was started, or report why it was not."""
        self._opening = None
        early, self._early = self._early, []
        if opening.job is not None:
            self._begin(opening.job)
            for message in early:
                self.send(message)
            return
        self._timer.stop()
        if opening.failure is not None:
            self._emit(opening.failure)
        self.sessionEnded.emit()

    def _emit(self, event: events.Event) -> None:
        channel = self._channels.get(type(event))
        if channel is not None:
            channel.arrived.emit(event)

    def _frame(self) -> None:
        if self._opening is not None and not self._opening.alive:
            self._opened(self._opening)
        live = self._live
        if live is None:
            if self._opening is None:
                self._timer.stop()
            return
        self.frameBegan.emit()
        # Read before draining: a job that ends in between is drained once more at the next frame.
        alive = live.job.alive
        for event in live.drain():
            self._emit(event)
        self.frameEnded.emit()
        if not alive and self._live is live:
            live.job.join(CLOSE_SECONDS)
            self._live = None
            self._timer.stop()
            self.sessionEnded.emit()


class TaskBridge(QObject):
    """Executes tasks in the background, one at a time.

    Only the newest task counts: submitting one replaces the task that waits, and the results of the
    task in progress are discarded.

    Args:
        pool: of worker processes. None to work in a thread of this process, which suits tasks that
            wait for the disk more than they compute: such a task starts at once, but cannot be
            killed.
        parent: owner.
        turn: shared with bridges that are not to work at the same time.

    Signals: ``answered(object)``: a result; a task may emit intermediate results, the last one is
    complete. ``failed(str)``: the error message of a task that failed. ``dataChanged(str, object)``:
    which file a stored run has read otherwise, and the task that goes on nevertheless.
    ``finished()``: no task is in progress any more.
    """

    answered = Signal(object)
    dataChanged = Signal(str, object)
    failed = Signal(str)
    finished = Signal()

    def __init__(
        self, pool: WorkerPool | None, parent: QObject | None = None, turn: Turn | None = None
    ) -> None:
        super().__init__(parent)
        self._pool = pool
        self._turn = Turn(self) if turn is None else turn
        self._turn.freed.connect(self._turn_freed)
        self._job: JobHandle | None = None
        self._task: Task | None = None
        self._waiting: Task | None = None
        self._silent = ""
        self._timer = QTimer(self)
        self._timer.setInterval(FRAME_MILLISECONDS)
        self._timer.timeout.connect(self._poll)

    @property
    def active(self) -> bool:
        """Whether a task waits or is in progress."""
        return self._job is not None or self._waiting is not None

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

    def shut_down(self) -> None:
        """Cancel the task in progress without waiting for its end, and ignore its results."""
        self._timer.stop()
        job, self._job, self._waiting = self._job, None, None
        if job is not None:
            job.cancel()
            self._turn.give_back()

    def end(self, seconds: float = CLOSE_SECONDS) -> bool:
        """Stop the task in progress, ignore its results, and return whether it ended in time.

        For tasks that save what they have reached; called when their window closes.

        Args:
            seconds: to wait at most.
        """
        job = self._job
        self.shut_down()
        return job is None or job.join(seconds)

    def _start_next(self) -> None:
        if self._waiting is None:
            self.finished.emit()
            return
        if not self._turn.acquire():
            return
        task, self._waiting = self._waiting, None
        self._task = task
        # A task has nothing to save: when it is cancelled, its worker may be killed at once. A
        # runner that has killed its worker kills every later one, too, so each task has its own.
        runner = ThreadRunner() if self._pool is None else ProcessRunner(self._pool)
        self._silent = ""
        self._job = JobHandle(task, runner, stop_seconds=0.0)
        self._job.start()
        self._timer.start()

    def _turn_freed(self) -> None:
        if self._job is None and self._waiting is not None:
            self._start_next()

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
                if event.changed_data and isinstance(self._task, OnStoredRun):
                    self.dataChanged.emit(
                        event.changed_data, replace(self._task, changed_data=True)
                    )
                else:
                    self.failed.emit(self._silent or event.message)
            elif isinstance(event, WorkerSilent):
                # A task has nothing to lose: it is ended, and can be tried again.
                self._silent = f"{event.words} It was ended; try again."
                job.cancel()
        if not alive:
            job.join(CLOSE_SECONDS)
            self._job = None
            self._timer.stop()
            self._turn.give_back()
            if self._job is None:
                self._start_next()


class WorkerPrewarmer:
    """Starts a worker and measures the interpreter lock in the background.

    *Start* then responds without delay.

    Attributes:
        pool: the workers that all parts of the window share.
    """

    def __init__(self) -> None:
        self.pool = WorkerPool()
        self._ended = threading.Event()
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
        # The result is kept for the first run.
        if not self._ended.wait(MEASURE_DELAY_SECONDS):
            choose("auto", EXPECTED_DRAW_SHARE)

    def end(self) -> None:
        """Ask the workers to exit, and wait until they have."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self.pool.close(0.1)
