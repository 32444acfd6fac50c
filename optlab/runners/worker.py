"""A worker: a spawned process that does jobs one after another, and the end of it that its parent
holds.

They speak over one duplex pipe: jobs and control messages to the worker, events back, and after
each job a :class:`JobDone`. What the pipe holds bounds what waits: a worker whose events nobody
reads stands still. When its parent dies, however it dies, the pipe closes and the worker ends
itself. Never forked: torch's threads do not survive that.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

from optlab.runners.jobs import Job, TrainJob, perform
from optlab.tasks.task import Task
from optlab.training.control import Inbox, Message
from optlab.training.events import Event


@dataclass(frozen=True)
class JobDone:
    """The worker has told all events of its job and is ready for another."""


class WorkerDied(Exception):
    """The process is gone; ``code`` is its exit code, negative for a signal."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Worker:
    """The parent's end.

    Constructing one starts the process, which then imports torch while the parent goes on.
    """

    def __init__(self) -> None:
        # Spinning threads starve the window; torch reads this at its import, so it is inherited.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=True)
        self._pipe: Connection = ours
        self._process = context.Process(
            target=_work, args=(theirs,), name="optlab-worker", daemon=True
        )
        with _interrupts_held_back():
            self._process.start()
        # Else the pipe would stay open when the worker dies.
        theirs.close()

    @property
    def alive(self) -> bool:
        """Whether the process lives."""
        return self._process.is_alive()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid or 0

    def send(self, what: Job | Message) -> None:
        """Give the worker a job, or a message for the job it is at.

        Raises:
            WorkerDied: it is gone.
        """
        try:
            self._pipe.send(what)
        except OSError:
            raise WorkerDied(self._code()) from None

    def receive(self, seconds: float) -> Event | JobDone | None:
        """What the worker tells next, or None where nothing came in time.

        Raises:
            WorkerDied: it is gone.
        """
        try:
            if not self._pipe.poll(seconds):
                return None
            told: Event | JobDone = self._pipe.recv()
            return told
        except (EOFError, OSError):
            raise WorkerDied(self._code()) from None

    def _code(self) -> int | None:
        self._process.join(1.0)
        return self._process.exitcode

    def kill(self) -> None:
        """End the process at once (any thread); also one that has been stopped or hangs."""
        self._process.kill()

    def dismiss(self, seconds: float) -> None:
        """Let the worker end: it does so by itself when the pipe closes, and is killed if not
        within so many seconds.
        """
        self._pipe.close()
        self._process.join(seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """A process that is started inside does not see Ctrl-C from its first moment on: its parent
    does, and ends it in good order.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    # It is started along with the first worker, and would undo the mask.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# --- in the worker's process
# -----------------------------------------------------------------------------------------------------------------


def _work(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Standard output is the command's, which may owe one JSON document to a program. What a module
    # of the user's prints goes to standard error, at the level of the descriptor: C code prints too.
    os.dup2(2, 1)
    jobs: queue.SimpleQueue[tuple[Job, Inbox]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, jobs), name="optlab-listener", daemon=True).start()
    import torch  # noqa: F401 - so that a spare worker is warm when a job comes

    while True:
        job, inbox = jobs.get()
        try:
            for event in perform(job, inbox):
                pipe.send(event)
            pipe.send(JobDone())
        except OSError:
            # Nobody listens any more.
            os._exit(0)


def _listen(pipe: Connection, jobs: queue.SimpleQueue[tuple[Job, Inbox]]) -> None:
    inbox = Inbox()
    while True:
        try:
            what = pipe.recv()
        except (EOFError, OSError):
            # At once and without a word, whatever the main thread is at: there is nobody left to
            # hear.
            os._exit(0)
        if isinstance(what, TrainJob | Task):
            inbox = Inbox()
            jobs.put((what, inbox))
        else:
            inbox.put(what)
