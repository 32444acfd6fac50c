"""Jobs: what a runner executes. They hold plain values and arrays, and can be sent to a process.

A job becomes a stream of events in any case: an error is an event, too, and the last one.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass

from optlab.core.errors import ChangedData, InvalidInput, OptLabError
from optlab.experiment import Experiment
from optlab.experiment.own_code import blame, own_code
from optlab.objective.ranks import ALONE, Ranks
from optlab.tasks.task import Task
from optlab.training.control import Controls, Message, Replay
from optlab.training.events import Event, SessionFailed, TaskResult
from optlab.training.snapshot import Snapshot


@dataclass(frozen=True)
class TrainJob:
    """Train experiments (TOML texts) together.

    Attributes:
        experiments: as TOML.
        snapshots: one per run from which to resume, or None to start from step 0.
        log: messages to apply, each with the number of completed steps before it.
    """

    experiments: tuple[str, ...]
    snapshots: tuple[Snapshot, ...] | None = None
    log: tuple[tuple[int, Message], ...] = ()


Job = TrainJob | Task
"""What a runner can execute.

The results of a task come as :class:`~optlab.training.events.TaskResult`.
"""


def perform(job: Job, controls: Controls, ranks: Ranks = ALONE) -> Iterator[Event]:
    """Execute a job and yield its events.

    An error becomes a :class:`~optlab.training.events.SessionFailed`, which is then the last event.

    Args:
        job: to execute.
        controls: the messages to it.
        ranks: the processes that train together, each of which performs the job.
    """
    parts: tuple[str, ...] = ()
    try:
        match job:
            case TrainJob():
                # Imported here: who only sends jobs to a worker does not need the trainer.
                from optlab.training.session import session

                parts = own_parts(job)
                experiments = [Experiment.from_toml(text) for text in job.experiments]
                yield from session(
                    experiments,
                    Replay(job.log, controls) if job.log else controls,
                    job.snapshots,
                    ranks,
                )
            case Task():
                for result in job.run(controls):
                    yield TaskResult(result)
    except OptLabError as error:
        yield failure(error)
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - becomes an event with its traceback; code of the user's may raise anything
        yield unexpected(error, parts)


def own_parts(job: Job) -> tuple[str, ...]:
    """Return the parts of a job that execute code of the user's.

    See :func:`optlab.experiment.own_code.own_code`; a task says it itself.
    """
    if not isinstance(job, TrainJob):
        return job.own_parts()
    return tuple(dict.fromkeys(part for text in job.experiments for part in own_code(text)))


def failure(error: OptLabError) -> SessionFailed:
    """Return the event for an error whose message is complete."""
    if not isinstance(error, InvalidInput):
        return SessionFailed(str(error))
    changed = error.what if isinstance(error, ChangedData) else ""
    return SessionFailed(str(error), invalid=True, field=error.field, changed_data=changed)


def unexpected(error: BaseException, parts: tuple[str, ...] = ()) -> SessionFailed:
    """Return the event for an error of the user's code, of OptLab itself, or of the system.

    Args:
        error: that was raised.
        parts: see :func:`optlab.experiment.own_code.blame`.
    """
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return SessionFailed(
        blame(error, parts)
        or f"An unexpected error occurred ({what}); please report it with its details.",
        "".join(traceback.format_exception(error)),
    )
