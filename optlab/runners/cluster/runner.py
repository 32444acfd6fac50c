"""The runner that executes a job on a cluster.

The events of a job arrive when it ends, from one complete attempt: where a worker dies, the
scheduler has the job executed again by another one, which gives the same bits, and nothing of the
former attempt is in the stream. Until then, :class:`~optlab.runners.notices.JobProgress` says how
far the job is.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from typing import Any

from optlab.core.errors import InvalidInput, OptLabError
from optlab.runners.cluster.connection import ClusterConnection
from optlab.runners.cluster.task import ClusterError, ClusterTask
from optlab.runners.cluster.worker import Parcel, parcel
from optlab.runners.jobs import Job, TrainJob, own_parts, unexpected
from optlab.runners.notices import JobProgress
from optlab.runners.runner import RunnerName
from optlab.store import controls
from optlab.training.control import Inbox
from optlab.training.events import Event, SessionFailed

MAX_DEATHS = 3
"""Workers that may die with a job before it is given up: it may be the reason."""
_ENDED = "The job on the cluster was ended before it was complete."
_LISTEN_SECONDS = 0.05
"""Maximum delay of a control message."""
_PROGRESS_SECONDS = 1.0
"""Time between two notices of progress."""
_WAITING_SECONDS = 10.0
"""The same where there is no progress: nothing has begun, or the job is paused."""


class ClusterRunner:
    """Executes a job on a worker of a cluster.

    Args:
        connection: to the cluster; several runners may share it.
    """

    name: RunnerName = "cluster"

    def __init__(self, connection: ClusterConnection) -> None:
        self._connection = connection
        self._task: ClusterTask | None = None
        self._killed = threading.Event()

    def events(self, job: Job, inbox: Inbox) -> Iterator[Event]:
        """See :class:`~optlab.runners.runner.Runner`."""
        try:
            task = self._connection.start(_sendable(job))
        except InvalidInput as error:
            yield SessionFailed(str(error), invalid=True, field=error.field)
            return
        except OptLabError as error:
            yield SessionFailed(str(error))
            return
        except Exception as error:  # noqa: BLE001 - becomes an event with its traceback
            yield unexpected(error)
            return
        self._task = task
        try:
            yield from self._progress(task, inbox)
            yield from self._outcome(task)
        finally:
            self._connection.end(task)

    def kill(self) -> None:
        """Give the job up (any thread); its worker stops it after the current step."""
        self._killed.set()

    def silence(self) -> float:
        """See :class:`~optlab.runners.runner.Runner`."""
        task = self._task
        return task.silence() if task is not None else 0.0

    def suspended(self) -> str:
        """Return "": whether a process of another machine is suspended is not known."""
        return ""

    def _progress(self, task: ClusterTask, inbox: Inbox) -> Iterator[JobProgress]:
        """Wait for the end of the job, pass on messages, and yield how far it is."""
        messages: list[str] = []
        last: dict[str, Any] | None = None
        due = time.monotonic() + _PROGRESS_SECONDS
        canceled = False
        while not task.ended:
            messages += [controls.to_json(message) for message in inbox.receive(0)]
            task.send(messages)
            if not canceled and (self._killed.is_set() or len(task.deaths) > MAX_DEATHS):
                canceled = True
                task.cancel()
            report = task.report()
            now = time.monotonic()
            # A step that takes long is no progress.
            waits = _WAITING_SECONDS if not report or report["paused"] else math.inf
            if now >= due + (waits if report == last else 0.0):
                due, last = now + _PROGRESS_SECONDS, report
                yield _progress(report)
            task.wait(_LISTEN_SECONDS)

    def _outcome(self, task: ClusterTask) -> Iterator[Event]:
        try:
            events = task.outcome()
        except ClusterError as error:
            yield SessionFailed(self._reason(task) or str(error))
        except Exception as error:  # noqa: BLE001 - whatever a worker or the transport raises becomes an event
            yield _failed(error)
        else:
            yield from events

    def _reason(self, task: ClusterTask) -> str:
        """Return why the job was canceled here, or ""."""
        if self._connection.lost:
            return ""
        if len(task.deaths) > MAX_DEATHS:
            return _deaths(len(task.deaths), task.deaths[-1])
        return _ENDED if self._killed.is_set() else ""


def _sendable(job: Job) -> Parcel:
    """Return what is sent of a job.

    Raises:
        InvalidInput: it cannot be executed elsewhere.
    """
    if not isinstance(job, TrainJob):
        raise InvalidInput(
            f"A cluster trains only; {type(job).__name__} is executed here, in a thread or a "
            "process."
        )
    if parts := own_parts(job):
        raise InvalidInput(
            f"{', '.join(parts)} executes code of your own, which the workers of a cluster do not "
            "have; train it here with --runner process, or several at once without --cluster."
        )
    return parcel(job)


def _progress(report: dict[str, Any]) -> JobProgress:
    if not report:
        return JobProgress(0.0, "It waits for a free worker of the cluster.")
    step, steps = report["step"], report["steps"]
    if not steps:
        return JobProgress(0.0, f"It is being set up on {report['worker']}.")
    paused = ", paused" if report["paused"] else ""
    return JobProgress(
        min(1.0, step / steps),
        f"Step {step:,} of {steps:,} on {report['worker']}{paused}.",
    )


def _deaths(count: int, last: str) -> str:
    return (
        f"{count} workers ended unexpectedly while they executed this job, the last one at {last}; "
        "the system does this when memory runs out. Look at the workers, and start it again."
    )


def _failed(error: Exception) -> SessionFailed:
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return SessionFailed(_deaths(error.allowed_failures + 1, error.last_worker.address))
    if isinstance(error, ImportError):
        return SessionFailed(
            f"A worker cannot load OptLab ({error}); install the same OptLab on all machines of "
            "the cluster."
        )
    return unexpected(error)
