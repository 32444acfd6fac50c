"""What a worker of a cluster does. Dask calls the functions here by their name.

Jobs come as plain texts and arrays and leave as events, which hold plain values and arrays, too.
While a job runs, a thread beside it reports how far it is, and ends it where nobody waits for it any
more: Dask itself cannot end what a worker executes.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import platform
import threading
import uuid
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from optlab import __version__
from optlab.core.errors import InvalidInput, OptLabError
from optlab.core.identity import FileIdentity
from optlab.experiment import Experiment
from optlab.experiment.data_files import files_of
from optlab.runners.cluster.record import EventRecord
from optlab.runners.jobs import TrainJob, perform
from optlab.store import controls
from optlab.training.control import Inbox, Stop
from optlab.training.events import (
    ActivityChanged,
    Event,
    SeriesBlock,
    SessionFailed,
    SessionStarted,
    StepWarning,
)
from optlab.training.snapshot import Snapshot

_LOG = logging.getLogger(__name__)

PULSE_SECONDS = 0.5
"""Time between two reports of a job."""


@dataclasses.dataclass(frozen=True)
class Parcel:
    """A job as it is sent: texts, numbers and arrays.

    Attributes:
        experiments: as TOML.
        snapshots: their attributes, or None.
        log: messages as JSON, each with its step.
        files: the files that the experiments read, and what is in them.
        versions: see :func:`versions`.
    """

    experiments: tuple[str, ...]
    snapshots: tuple[dict[str, Any], ...] | None
    log: tuple[tuple[int, str], ...]
    files: dict[str, tuple[int, str]]
    versions: dict[str, str]


def parcel(job: TrainJob) -> Parcel:
    """Return a job as it is sent.

    Raises:
        InvalidInput: an experiment is not valid, or a file that it reads cannot be read.
    """
    return Parcel(
        job.experiments,
        None if job.snapshots is None else tuple(map(_plain, job.snapshots)),
        tuple((step, controls.to_json(message)) for step, message in job.log),
        {path: (file.bytes, file.sha256) for path, file in _files(job.experiments).items()},
        versions(),
    )


def versions() -> dict[str, str]:
    """Return the versions on which the bits of a result depend, and those of what carries them."""
    return {
        "optlab": __version__,
        "torch": version("torch"),
        "numpy": version("numpy"),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "distributed": version("distributed"),
    }


def machine() -> str:
    """Return the kind of processor that torch computes for: another one may round otherwise."""
    import torch

    kinds = [f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}"]
    if torch.cuda.is_available():
        kinds.append(torch.cuda.get_device_name(0))
    return " and ".join(kinds)


async def identity() -> tuple[dict[str, str], str]:
    """Return :func:`versions` and :func:`machine`; afterwards torch is loaded."""
    # The loop of the worker goes on meanwhile.
    return versions(), await asyncio.to_thread(machine)


def difference(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """Return which versions differ, as "has torch 2.12, but torch 2.13 is here"; "" for none."""
    other = [name for name in here if here[name] != there.get(name)]
    if not other:
        return ""
    has = ", ".join(f"{name} {there.get(name, '(none)')}" for name in other)
    return f"has {has}, but here is {', '.join(f'{name} {here[name]}' for name in other)}"


# --- a job ----------------------------------------------------------------------------------------


class _Execution:
    """One attempt at a job on this worker.

    Attributes:
        inbox: messages to it. received: how many of them have come.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.attempt = uuid.uuid4().hex
        self.inbox = Inbox()
        self.received = 0
        self._step = self._steps = 0
        self._paused = False

    def note(self, event: Event) -> None:
        """Note how far the job is."""
        match event:
            case SessionStarted():
                self._step, self._steps = event.step, event.steps
            case SeriesBlock() | StepWarning():
                self._step = max(self._step, event.step)
            case ActivityChanged():
                self._paused = event.activity == "paused"
            case _:
                pass

    def report(self) -> dict[str, Any]:
        """Return how far the job is."""
        return {
            "job": self.key,
            "attempt": self.attempt,
            "step": self._step,
            "steps": self._steps,
            "paused": self._paused,
        }


_EXECUTIONS: dict[str, _Execution] = {}
"""The jobs in progress on this worker."""


def execute(key: str, topic: str, sent: Parcel) -> list[Event]:
    """Execute a job and return its events.

    Args:
        key: under which Dask knows it.
        topic: of Dask's events, to which reports go.
        sent: the job.
    """
    from distributed import get_worker

    worker = get_worker()
    try:
        job = _opened(sent)
    except OptLabError as error:
        message = f"On the worker {worker.address}: {error}"
        field = error.field if isinstance(error, InvalidInput) else ""
        return [SessionFailed(message, invalid=isinstance(error, InvalidInput), field=field)]
    execution = _EXECUTIONS[key] = _Execution(key)
    record = EventRecord()
    pulse = _Pulse(worker, topic, execution)
    pulse.start()
    try:
        for event in perform(job, execution.inbox):
            record.add(event)
            execution.note(event)
        return list(record.events())
    finally:
        pulse.end()
        # Another attempt may have been begun here meanwhile.
        if _EXECUTIONS.get(key) is execution:
            del _EXECUTIONS[key]


def receive(key: str, attempt: str, first: int, messages: Sequence[str]) -> int:
    """Leave messages for a job in progress, and return how many it has received so far.

    Args:
        key: of the job.
        attempt: for which they are meant.
        first: number of the first one; those that have come already are passed over.
        messages: as JSON.
    """
    execution = _EXECUTIONS.get(key)
    if execution is None or execution.attempt != attempt:
        return 0
    for message in messages[max(0, execution.received - first) :]:
        execution.inbox.put(controls.from_json(message))
        execution.received += 1
    return execution.received


class _Pulse(threading.Thread):
    """Reports how far a job is, and stops it where nobody waits for it."""

    def __init__(self, worker: Any, topic: str, execution: _Execution) -> None:
        super().__init__(name="optlab-pulse", daemon=True)
        self._worker = worker
        self._topic = topic
        self._execution = execution
        self._done = threading.Event()

    def run(self) -> None:
        """Report until the job ends."""
        stopped = False
        while True:
            try:
                self._worker.log_event(self._topic, self._execution.report())
            except RuntimeError as error:
                # The loop has ended, and the worker with it.
                _LOG.info("no more reports of %s: %s", self._execution.key, error)
            if not (stopped or self._wanted()):
                stopped = True
                self._execution.inbox.put(Stop())
            if self._done.wait(PULSE_SECONDS):
                return

    def end(self) -> None:
        """End the reports."""
        self._done.set()
        self.join()

    def _wanted(self) -> bool:
        """Return whether the scheduler still waits for the job, and is still there."""
        if self._worker.status.name in ("closing", "closed", "failed"):
            return False
        task = self._worker.state.tasks.get(self._execution.key)
        return task is not None and task.state != "cancelled"


def _opened(sent: Parcel) -> TrainJob:
    """Return the job of a parcel.

    Raises:
        InvalidInput: it would not give the same numbers here.
    """
    if unlike := difference(sent.versions, versions()):
        raise InvalidInput(f"it {unlike}: its numbers would not be the same bits.")
    for path, file in _files(sent.experiments).items():
        if (before := sent.files.get(path)) is None:
            raise InvalidInput(f"{path} would be read here, but was not where the job comes from.")
        if FileIdentity(*before) != file:
            raise InvalidInput(
                f"{path} is another file here ({file}) than where the job comes from "
                f"({FileIdentity(*before)}); copy it to the same path of all machines."
            )
    return TrainJob(
        sent.experiments,
        None if sent.snapshots is None else tuple(Snapshot(**each) for each in sent.snapshots),
        tuple((step, controls.from_json(message)) for step, message in sent.log),
    )


def _files(documents: Sequence[str]) -> dict[str, FileIdentity]:
    found: dict[str, FileIdentity] = {}
    for document in documents:
        found.update(files_of(Experiment.from_toml(document)))
    return found


def _plain(snapshot: Snapshot) -> dict[str, Any]:
    values = {field.name: getattr(snapshot, field.name) for field in dataclasses.fields(snapshot)}
    return {
        name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()
    }
