"""A worker: a process of its own that executes one job after another, and the parent's end of it.

Both speak over one duplex pipe: jobs and control messages go to the worker, events come back, and
after each job a :class:`JobDone`. The capacity of the pipe bounds the waiting events: a worker whose
events are not read stops. When its parent dies, however it dies, the pipe closes and the worker
exits. How it is started says :mod:`optlab.core.spawning`.

Two more pipes lead from the worker: its signs of life, and what code in it prints.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from optlab.core.spawning import Spawned, spawn
from optlab.runners import output
from optlab.runners.heartbeat import Heartbeat, HeartbeatMonitor
from optlab.runners.jobs import Job, TrainJob, perform
from optlab.tasks.task import Task
from optlab.training.control import Inbox, Message
from optlab.training.events import Event

ENTRY = "optlab.runners.worker:work"
"""What the process of a worker calls."""
WARM = "optlab.runners.worker:import_libraries"
"""What imports the libraries of all workers, where they are forked."""


@dataclass(frozen=True)
class JobDone:
    """The worker has sent all events of its job and is ready for another."""


class WorkerDied(Exception):
    """The process has ended; ``code`` is its exit code, negative for a signal."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Worker:
    """The parent's end of a worker.

    The constructor starts the process, which imports torch while the parent continues.

    Args:
        spawned: a process that executes :data:`ENTRY` already.

    Raises:
        OSError: the process cannot be started.
    """

    def __init__(self, spawned: Spawned | None = None) -> None:
        spawned = spawned or spawn(ENTRY, WARM)
        self._spawned = spawned
        self._pipe = spawned.pipe
        self._process = spawned.process
        self._monitor = HeartbeatMonitor(spawned.beats, self.suspended)
        self._output = None if spawned.printed is None else output.OutputPipe(spawned.printed)

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.is_alive()

    @property
    def pid(self) -> int:
        """The process id, as soon as the process is there."""
        return self._process.pid or 0

    def send(self, what: Job | Message) -> None:
        """Send the worker a job, or a message for its current job.

        Raises:
            WorkerDied: the process has ended.
        """
        try:
            self._pipe.send(what)
        except OSError:
            raise WorkerDied(self._code()) from None

    def receive(self, seconds: float) -> Event | JobDone | None:
        """Return the next event of the worker, or None where none arrives within ``seconds``.

        It returns earlier where there is output to read.

        Raises:
            WorkerDied: the process has ended.
        """
        printed = self._output.pipe if self._output is not None else None
        try:
            if self._pipe not in wait([self._pipe, *([printed] if printed else [])], seconds):
                return None
            event: Event | JobDone = self._pipe.recv()
            return event
        except (EOFError, OSError):
            raise WorkerDied(self._code()) from None

    def printed(self) -> bytes:
        """Return what code in the worker has printed since the last call, at most 64 KiB."""
        return self._output.read() if self._output is not None else b""

    def silence(self) -> float:
        """Return the seconds since the worker's last sign of life (any thread).

        It is 0 for one that has not begun; see
        :meth:`optlab.runners.heartbeat.HeartbeatMonitor.silence`.
        """
        return self._monitor.silence() if self._spawned.begun else 0.0

    def suspended(self) -> bool:
        """Return whether the process is suspended; False where the system does not say."""
        return self._spawned.begun and is_suspended(self.pid)

    def _code(self) -> int | None:
        self._process.join(1.0)
        return self._process.exitcode

    def kill(self) -> None:
        """Kill the process (any thread), even if it is suspended or hangs."""
        self._process.kill()

    def dismiss(self, seconds: float) -> None:
        """Close the pipe, so that the worker exits.

        Args:
            seconds: after which it is killed.
        """
        self._pipe.close()
        self._process.join(seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._monitor.close()
        if self._output is not None:
            self._output.close()


def is_suspended(pid: int) -> bool:
    """Return whether a process is suspended; False where the system does not say."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    # The name of the program, in parentheses, may hold anything.
    return state.rpartition(")")[2].split()[:1] in (["T"], ["t"])


# --- in the worker's process ---------------------------------------------------------------------


def work(pipe: Connection, beats: Connection, printed: Connection | None = None) -> None:
    """Execute jobs until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if printed is not None:
        output.redirect(printed)
    else:
        # Standard output is the command's, which may owe one JSON document to a program.
        os.dup2(2, 1)
    heartbeat = Heartbeat(beats)
    jobs: queue.SimpleQueue[tuple[Job, Inbox]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, jobs), name="optlab-listener", daemon=True).start()
    import_libraries()
    heartbeat.ready()
    while True:
        job, inbox = jobs.get()
        try:
            for event in perform(job, inbox):
                pipe.send(event)
            output.flush()
            pipe.send(JobDone())
        except OSError:
            # The parent has gone.
            os._exit(0)


def import_libraries() -> None:
    """Import what a job needs, so that a spare worker is warm when one comes."""
    import torch  # noqa: F401

    import optlab.training.session  # noqa: F401


def _listen(pipe: Connection, jobs: queue.SimpleQueue[tuple[Job, Inbox]]) -> None:
    inbox = Inbox()
    while True:
        try:
            what = pipe.recv()
        except (EOFError, OSError):
            # At once and silently, whatever the main thread is doing: the parent has gone.
            os._exit(0)
        if isinstance(what, TrainJob | Task):
            inbox = Inbox()
            jobs.put((what, inbox))
        else:
            inbox.put(what)
