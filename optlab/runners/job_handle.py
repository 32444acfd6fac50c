"""Job handles: the background thread that controls one job.

It iterates over the runner's events, has each one recorded before it is delivered, and queues it for
the reader. A reader is never notified: a timer drains the queue.
"""

from __future__ import annotations

import logging
import threading

from optlab.core.errors import StoreError
from optlab.runners.job_watch import JobWatch
from optlab.runners.jobs import Job, TrainJob, unexpected
from optlab.runners.outbox import Outbox
from optlab.runners.runner import Runner
from optlab.store.writer import RunWriter
from optlab.training.control import Inbox, Message, Stop
from optlab.training.events import Event, SessionEnded, SessionFailed, SessionStarted, TaskProgress

_LOG = logging.getLogger(__name__)

STOP_SECONDS = 2.0
"""Seconds after a cancel within which a run can still end properly."""


class JobHandle:
    """Controls one job.

    Args:
        job: to execute.
        runner: for this job only.
        writer: records a training session; the handle owns it from now on. None for a job that is
            not recorded.
        capacity: events that may wait for :meth:`drain`. Beyond that the job waits, so events must
            be drained.
        stop_seconds: seconds after a cancel within which the job can end properly; then its worker
            is killed.

    Attributes:
        run_ids: ids of the recorded runs.
    """

    def __init__(
        self,
        job: Job,
        runner: Runner,
        writer: RunWriter | None = None,
        capacity: int = 4096,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self._job = job
        self._runner = runner
        self._writer = writer
        self._watch = JobWatch(runner, training=isinstance(job, TrainJob))
        self._inbox = Inbox()
        self._outbox = Outbox(capacity)
        self._cancelled = threading.Event()
        self._killed = False
        self._started = False
        # A task that is cancelled has nothing to save, and is not waited for.
        self._killed_words = (
            f"The worker did not stop within {stop_seconds:g} seconds and was killed; "
            "the run can be resumed from its last snapshot."
            if isinstance(job, TrainJob)
            else "The task was cancelled, and its worker ended with it."
        )
        self._kill_timer = threading.Timer(stop_seconds, self._kill_on_timeout)
        self._kill_timer.daemon = True
        self._kill_timer.name = "optlab-kill-timer"
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        if writer is not None:
            writer.set_watcher(_DiskWatcher(self._outbox, self._stopping))
        self.run_ids: tuple[str, ...] = writer.run_ids if writer is not None else ()
        self._thread = threading.Thread(
            target=self._execute,
            name=f"optlab-job-{self.run_ids[0] if self.run_ids else 'task'}",
            daemon=False,
        )

    @property
    def runner(self) -> str:
        """Where the job runs, ``thread``, ``process`` or ``cluster``."""
        return self._runner.name

    @property
    def alive(self) -> bool:
        """Whether the job is in progress."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the job; a second call does nothing."""
        with self._lock:
            if not self._started:
                self._started = True
                self._thread.start()

    def send(self, message: Message) -> None:
        """Send a message to the session (any thread).

        A Stop also ends the wait for space on a full disk. A worker that gives no sign of life is
        killed after it; one that works on a long step is not, see :meth:`cancel`.
        """
        self._inbox.put(message)
        self._watch.on_message(message)
        if isinstance(message, Stop):
            self._stopping.set()
            self._watch.on_stop()

    def drain(self) -> list[Event]:
        """Return all waiting events in order, without blocking (any thread).

        If recording fails, one :class:`NotRecorded` is among them, and the run continues. While the
        disk is full, the run waits between a :class:`RecordingHeld` and a
        :class:`RecordingResumed`.

        A job that seems to hang is noticed here, so that it is noticed only while somebody drains:
        see :mod:`optlab.runners.notices`.
        """
        events = self._outbox.drain()
        if not self.alive:
            return events
        noticed = self._watch.look()
        for notice in noticed:
            _LOG.info("%s: %s", self._title(), notice.words)
        if self._watch.silent and self._stopping.is_set():
            self.cancel()
        return [*events, *noticed]

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there are events or the job has ended, and return whether that is so.

        Args:
            timeout: seconds to wait at most; None for no limit.
        """
        return self._outbox.wait(timeout)

    def cancel(self) -> None:
        """Stop the job, even where nothing drains its events or its worker hangs (it is killed).

        A step that takes long is given ``stop_seconds`` to end.
        """
        self._watch.on_stop()
        with self._lock:
            if self._cancelled.is_set():
                return
            self._cancelled.set()
            if not self._started:
                self._started = True
                self._thread.start()
            self._kill_timer.start()
        self._inbox.put(Stop())
        self._stopping.set()
        self._outbox.open_up()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of the job, and return whether it has ended.

        It does not drain events: see ``capacity``.

        Args:
            timeout: seconds to wait at most; None for no limit.
        """
        if self._started:
            self._thread.join(timeout)
        return self._started and not self._thread.is_alive()

    # --- in the background thread ----------------------------------------------------------------

    def _execute(self) -> None:
        ended = False
        try:
            for received in self._runner.events(self._job, self._inbox):
                killed = self._killed and isinstance(received, SessionFailed)
                if killed:
                    self._interrupt()
                event = SessionFailed(self._killed_words) if killed else received
                self._deliver(event)
                ended = isinstance(event, SessionEnded | SessionFailed)
        except Exception as error:  # noqa: BLE001 - runners raise nothing; if one does, it is reported as a defect
            if not ended:
                self._deliver(unexpected(error))
        finally:
            self._kill_timer.cancel()
            self._close_writer()
            self._outbox.close()

    def _deliver(self, event: Event) -> None:
        self._watch.on_event(event)
        self._log(event)
        if self._writer is not None:
            try:
                self._writer.record(event)
            except StoreError as error:
                self._report(error)
        self._outbox.put(event)
        self._watch.on_delivered()

    def _interrupt(self) -> None:
        if self._writer is not None:
            try:
                self._writer.interrupt(self._killed_words)
            except StoreError as error:
                self._report(error)

    def _close_writer(self) -> None:
        if self._writer is not None:
            try:
                self._writer.close()
            except StoreError as error:
                self._report(error)

    def _report(self, error: StoreError) -> None:
        """Report that recording failed; the run continues."""
        _LOG.warning("recording of %s failed: %s", self._title(), error)
        self._outbox.put(NotRecorded(1.0, str(error)))

    def _log(self, event: Event) -> None:
        if isinstance(event, SessionStarted):
            _LOG.info(
                "%s started: R = %d, P = %d, %s",
                self._title(),
                event.runs,
                event.parameters,
                event.device,
            )
        elif isinstance(event, SessionEnded):
            _LOG.info("%s ended", self._title())
        elif isinstance(event, SessionFailed) and event.detail:
            _LOG.error("%s failed: %s\n%s", self._title(), event.message, event.detail)
        elif isinstance(event, SessionFailed):
            _LOG.info("%s failed: %s", self._title(), event.message)

    def _title(self) -> str:
        """Return a name of the job for the log."""
        return " ".join(("session", *self.run_ids)) if self.run_ids else type(self._job).__name__

    def _kill_on_timeout(self) -> None:
        if self.alive:
            self._killed = True
            self._runner.kill()


class NotRecorded(TaskProgress):
    """From now on the run continues without being recorded; ``words`` say why. Sent once."""


class RecordingHeld(TaskProgress):
    """The disk is full, and the run waits for space; ``words`` say so."""


class RecordingResumed(TaskProgress):
    """There is space again, and nothing is missing; ``words`` say so."""


class _DiskWatcher:
    """Reports that the run waits for space, and stops waiting when the run must end."""

    def __init__(self, outbox: Outbox, stopping: threading.Event) -> None:
        self._outbox = outbox
        self._stopping = stopping

    def held(self, message: str) -> None:
        """See :class:`optlab.store.persistence.Watcher`."""
        self._outbox.put(RecordingHeld(0.0, message))

    def resumed(self) -> None:
        """See :class:`optlab.store.persistence.Watcher`."""
        self._outbox.put(
            RecordingResumed(
                0.0,
                "There is room on the disk again: the run continues, and everything is recorded.",
            )
        )

    def wait(self, seconds: float) -> bool:
        """See :class:`optlab.store.persistence.Watcher`.

        Once the main thread has ended, nothing will free space.
        """
        return not self._stopping.wait(seconds) and threading.main_thread().is_alive()
