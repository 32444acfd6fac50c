"""The owner: the background thread that owns a job's life.

It iterates the runner's events, has each one recorded before anyone sees it, and leaves it for
whoever looks at the run. Looking is never waited for by signals: a timer drains what is there.
"""

from __future__ import annotations

import logging
import threading

from optlab.core.errors import StoreError
from optlab.runners.jobs import Job, unexpected
from optlab.runners.outbox import Outbox
from optlab.runners.runner import Runner
from optlab.store.writer import RunWriter
from optlab.training.control import Inbox, Message, Stop
from optlab.training.events import Event, SessionEnded, SessionFailed, SessionStarted, TaskProgress

_LOG = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds after a cancel in which a run may still end in good order."""


class JobHandle:
    """Owns one job.

    Args:
        runner: of this job alone.
        writer: records a training session; it belongs to the owner from now on. None for a job that
            is not recorded.
        capacity: events that may wait for :meth:`drain`. Beyond that the job stands still: somebody
            has to drain.
        patience: seconds after a cancel in which the job may end in good order, before its worker
            is killed.
    """

    def __init__(
        self,
        job: Job,
        runner: Runner,
        writer: RunWriter | None = None,
        capacity: int = 4096,
        patience: float = PATIENCE,
    ) -> None:
        self._job = job
        self._runner = runner
        self._writer = writer
        self._inbox = Inbox()
        self._outbox = Outbox(capacity)
        self._cancelled = threading.Event()
        self._killed = False
        self._started = False
        self._patience = threading.Timer(patience, self._kill_on_timeout)
        self._patience.daemon = True
        self._patience.name = "optlab-patience"
        self._lock = threading.Lock()
        self._giving_up = threading.Event()
        if writer is not None:
            writer.set_watcher(_Waiting(self._outbox, self._giving_up))
        self.run_ids: tuple[str, ...] = writer.run_ids if writer is not None else ()
        self._thread = threading.Thread(
            target=self._own,
            name=f"optlab-owner-{self.run_ids[0] if self.run_ids else 'job'}",
            daemon=False,
        )

    @property
    def runner(self) -> str:
        """Where the job runs, ``thread`` or ``process``."""
        return self._runner.name

    @property
    def alive(self) -> bool:
        """Whether the job goes on."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin; a second call does nothing."""
        with self._lock:
            if not self._started:
                self._started = True
                self._thread.start()

    def send(self, message: Message) -> None:
        """Leave a message for the session (any thread).

        A Stop also ends the wait for room on a full disk.
        """
        self._inbox.put(message)
        if isinstance(message, Stop):
            self._giving_up.set()

    def drain(self) -> list[Event]:
        """All events that wait, in order; never waits (any thread).

        Where recording fails, one :class:`NotRecorded` is among them, and the run goes on. Where
        the disk is full, the run waits between a :class:`RecordingHeld` and a
        :class:`RecordingWentOn`.
        """
        return self._outbox.drain()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there are events or the job is over, at most so many seconds; whether that is
        so.
        """
        return self._outbox.wait(timeout)

    def cancel(self) -> None:
        """Stop the job, and nothing may keep it from stopping: not a reader that has gone, and not
        a worker that hangs (it is killed).
        """
        with self._lock:
            if self._cancelled.is_set():
                return
            self._cancelled.set()
            if not self._started:
                self._started = True
                self._thread.start()
            self._patience.start()
        self._inbox.put(Stop())
        self._giving_up.set()
        self._outbox.open_up()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of the job, at most so many seconds; whether it has ended. It does not
        drain: see ``capacity``.
        """
        if self._started:
            self._thread.join(timeout)
        return self._started and not self._thread.is_alive()

    # --- in the owner's thread ---------------------------------------------------------------------------------------------------

    def _own(self) -> None:
        ended = False
        try:
            for told in self._runner.events(self._job, self._inbox):
                given_up = self._killed and isinstance(told, SessionFailed)
                if given_up:
                    self._interrupt()
                event = SessionFailed(_GIVEN_UP) if given_up else told
                self._tell(event)
                ended = isinstance(event, SessionEnded | SessionFailed)
        except Exception as error:  # noqa: BLE001 - runners raise nothing; if one does, it is told as any other defect
            if not ended:
                self._tell(unexpected(error))
        finally:
            self._patience.cancel()
            self._close_writer()
            self._outbox.close()

    def _tell(self, event: Event) -> None:
        self._log(event)
        if self._writer is not None:
            try:
                self._writer.record(event)
            except StoreError as error:
                self._complain(error)
        self._outbox.put(event)

    def _interrupt(self) -> None:
        if self._writer is not None:
            try:
                self._writer.interrupt(_GIVEN_UP)
            except StoreError as error:
                self._complain(error)

    def _close_writer(self) -> None:
        if self._writer is not None:
            try:
                self._writer.close()
            except StoreError as error:
                self._complain(error)

    def _complain(self, error: StoreError) -> None:
        """Recording failed: the run goes on, and the user learns of it."""
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


_GIVEN_UP = f"The worker did not stop within {PATIENCE:g} seconds and was ended; the run can be resumed from its last snapshot."


class NotRecorded(TaskProgress):
    """The run goes on, but what it does from now on is not stored; ``words`` say why. Told once."""


class RecordingHeld(TaskProgress):
    """The disk is full, and the run waits for room; ``words`` say so."""


class RecordingWentOn(TaskProgress):
    """There is room again; nothing is missing. ``words`` say so."""


class _Waiting:
    """Tells whoever looks at the run that it waits for room, and stops waiting when the run is to
    end.
    """

    def __init__(self, outbox: Outbox, giving_up: threading.Event) -> None:
        self._outbox = outbox
        self._giving_up = giving_up

    def held(self, words: str) -> None:
        """See :class:`optlab.store.persistence.Watcher`."""
        self._outbox.put(RecordingHeld(0.0, words))

    def went_on(self) -> None:
        """See :class:`optlab.store.persistence.Watcher`."""
        self._outbox.put(
            RecordingWentOn(
                0.0, "There is room on the disk again: the run goes on, and everything is recorded."
            )
        )

    def wait(self, seconds: float) -> bool:
        """See :class:`optlab.store.persistence.Watcher`.

        Without a main thread there is nobody left who could make room.
        """
        return not self._giving_up.wait(seconds) and threading.main_thread().is_alive()
