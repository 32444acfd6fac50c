"""The runner that executes a job in a worker process."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator

from optlab.runners.jobs import Job, TrainJob, own_parts, unexpected
from optlab.runners.notices import WorkerOutput
from optlab.runners.output import JobOutput
from optlab.runners.pool import WorkerPool
from optlab.runners.runner import RunnerName
from optlab.runners.worker import JobDone, Worker, WorkerDied
from optlab.training.control import Inbox
from optlab.training.events import Event, SessionFailed

_LOG = logging.getLogger(__name__)
_LISTEN_SECONDS = 0.02
"""Maximum delay of a control message while the worker sends no events."""
_MAX_READS = 64
"""Reads of the output that a job leaves: a thread of the user's may go on printing."""


class ProcessRunner:
    """Executes a job with an interpreter of its own; a device error does not affect this process.

    Args:
        pool: from which the worker is taken; without one, a worker is started for this job and ends
            with it.
    """

    name: RunnerName = "process"

    def __init__(self, pool: WorkerPool | None = None) -> None:
        self._pool = pool
        self._worker: Worker | None = None
        self._killed = False
        self._lock = threading.Lock()

    def events(self, job: Job, inbox: Inbox) -> Iterator[Event]:
        """See :class:`~optlab.runners.runner.Runner`."""
        try:
            worker = self._pool.acquire() if self._pool is not None else Worker()
        except OSError as error:
            yield unexpected(error)
            return
        with self._lock:
            self._worker = worker
            if self._killed:
                worker.kill()
        reusable = False
        # What piled up while the worker was idle.
        worker.silence()
        printed = JobOutput()
        try:
            failed = False
            worker.send(job)
            while True:
                for message in inbox.receive(0):
                    worker.send(message)
                event = worker.receive(_LISTEN_SECONDS)
                yield from _reported(printed.feed(worker.printed()))
                if isinstance(event, JobDone):
                    break
                if event is not None:
                    # A process is not reused after an unexpected error; an error message for the
                    # user is no reason.
                    failed = failed or (isinstance(event, SessionFailed) and bool(event.detail))
                    yield event
            yield from _rest(worker, printed)
            reusable = not failed
        except WorkerDied as death:
            yield from _rest(worker, printed)
            if self._killed:
                _LOG.info("worker process was killed")
            else:
                _LOG.warning("worker process ended unexpectedly, exit code %s", death.code)
            yield SessionFailed(_exit_message(death.code, job))
        finally:
            with self._lock:
                self._worker = None
            if reusable and self._pool is not None:
                self._pool.give_back(worker)
            else:
                # It ends when the pipe closes, idle or in the middle of a job.
                worker.dismiss(1.0)

    def kill(self) -> None:
        """Kill the worker, or one that is being started (any thread)."""
        with self._lock:
            self._killed = True
            if self._worker is not None:
                self._worker.kill()

    def silence(self) -> float:
        """See :class:`~optlab.runners.runner.Runner`."""
        worker = self._worker
        return worker.silence() if worker is not None else 0.0

    def suspended(self) -> str:
        """See :class:`~optlab.runners.runner.Runner`."""
        worker = self._worker
        if worker is None or not worker.suspended():
            return ""
        return f"kill -CONT {worker.pid} lets it continue"


def _reported(text: str) -> Iterator[WorkerOutput]:
    if text:
        yield WorkerOutput(0.0, text)


def _rest(worker: Worker, printed: JobOutput) -> Iterator[WorkerOutput]:
    """Read what is left of the output of a job that has ended."""
    text = ""
    for _ in range(_MAX_READS):
        data = worker.printed()
        if not data:
            break
        text += printed.feed(data)
    yield from _reported(text + printed.finish())


def _exit_message(code: int | None, job: Job) -> str:
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "unknown"
        how = f"was killed by signal {-code}, {name}"
        why = "; the system does this when memory runs out" if name == "SIGKILL" else ""
    else:
        how, why = ("ended" if code is None else f"ended with exit code {code}"), ""
    parts = own_parts(job)
    whose = f" It executed code of your own ({', '.join(parts)})." if parts else ""
    advice = " The run can be resumed from its last snapshot." if isinstance(job, TrainJob) else ""
    return f"The worker process {how}{why}.{whose}{advice}"
