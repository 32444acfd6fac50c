"""Events: everything that a session reports, in order.

They hold NumPy arrays and plain values only, so they cross to another thread or process unchanged;
the first axis of values is the step, the second the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from optlab.core.lazy import numpy as np
from optlab.training.control import Message
from optlab.training.snapshot import Snapshot

if TYPE_CHECKING:
    from numpy.typing import NDArray

Activity = Literal["running", "paused"]
Status = Literal["finished", "stopped", "diverged", "failed"]
"""How a run ended.

Finished: the budget is spent or a stopping rule applied. Stopped: by the user. Diverged: loss or
weights were not finite. Failed: an error.
"""
StepMode = Literal["ordinary", "recorded", "compiled", "captured"]
"""How steps are taken.

Ordinary: torch executes one operation after the other. Recorded: the operations are recorded once
and repeated, with the same bits. Compiled: a recording is translated to C++. Captured: blocks of
steps are launched on a GPU as one, where nothing is due.
"""
SECONDS = "seconds"
"""Series of the training time until each step: a property of the machine, not of what is trained."""


@dataclass(frozen=True)
class Event:
    """Base of all events.

    A new event is one class that derives from it. It passes runners, processes and queues as it is;
    whoever shows or stores it matches its type.
    """


@dataclass(frozen=True)
class SessionStarted(Event):
    """The session is set up and about to take its first step.

    Attributes:
        runs: R. parameters: P. device: where it computes; device_name: its display name.
        steps: budget; of a population the largest. steps_per_epoch: steps of a pass through the training set; batch, last_batch:
            examples of a batch, and of an epoch's last one.
        step: steps already taken (not 0 when resumed).
        tracked: names of the followed weights.
    """

    runs: int
    parameters: int
    device: str
    device_name: str
    steps: int
    steps_per_epoch: int
    batch: int
    last_batch: int
    step: int
    tracked: tuple[str, ...]


@dataclass(frozen=True)
class StateTakenOver(Event):
    """A run begins as a fork, with this much of the state of the run that it was forked from.

    Attributes:
        run: which run. carried: names of the entries of its state that it took over; fresh: of
            those that began anew.
    """

    run: int
    carried: tuple[str, ...]
    fresh: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """New values of one series.

    Attributes:
        steps: ``[n]`` int64, number of steps taken. values: ``[n, R]``, or ``[n, R, K]`` for K
            numbers a run.
        columns: names of the K numbers; () where they have none of their own (those of the series
            ``weights`` are in :class:`SessionStarted`).
    """

    steps: NDArray[np.int64]
    values: NDArray[np.floating[Any]]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeriesBlock(Event):
    """The values measured since the last block: series name → new values.

    ``step`` and ``seconds`` say how far the session is.
    """

    step: int
    seconds: float
    series: Mapping[str, Series]


@dataclass(frozen=True)
class WeightPath(Event):
    """The path of one run through parameter space, in the plane of two principal components.

    Attributes:
        run: which run. steps: ``[n]``, the steps of the points.
        plane: coordinates ``[n, 2]``; explained: shares of the path's variance along each, ``[2]``.
        off_plane: distance ``[n]`` of each point from the plane.
        moved: names of the weights that moved most since the first point; values: theirs at the
            points, ``[n, K]``.
    """

    run: int
    steps: NDArray[np.int64]
    plane: NDArray[np.float64]
    explained: NDArray[np.float64]
    off_plane: NDArray[np.float64]
    moved: tuple[str, ...]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class InstrumentImage(Event):
    """Arrays of an instrument to be drawn, of one run, after ``step`` steps; the latest only.

    Attributes:
        name: of the instrument. arrays: name → array, as the instrument declares
            (:attr:`optlab.catalogue.instruments.base.Instrument.draws`).
    """

    run: int
    step: int
    name: str
    arrays: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class InstrumentCosts(Event):
    """The time that instruments take, as measured until ``step``.

    Attributes:
        plain: seconds of a step without any. readings: name of each instrument that was read →
            seconds of one reading, the median of the last ones.
    """

    step: int
    plain: float
    readings: Mapping[str, float]


@dataclass(frozen=True)
class MessageApplied(Event):
    """A message was applied after ``step`` steps; ``problem`` says why it was refused, else ""."""

    step: int
    message: Message
    problem: str = ""


@dataclass(frozen=True)
class ActivityChanged(Event):
    """The session was paused or resumed."""

    step: int
    activity: Activity


@dataclass(frozen=True)
class StepModeChanged(Event):
    """Steps are taken in another way than before; without such an event they are ordinary ones.

    Attributes:
        step: number of steps taken when that was noticed. mode: the way.
        reason: why it is no faster one, a clause such as "gradients are delayed"; "" where nothing
            stands in the way that is known.
    """

    step: int
    mode: StepMode
    reason: str = ""


@dataclass(frozen=True)
class SnapshotTaken(Event):
    """A snapshot of a run."""

    run: int
    snapshot: Snapshot


@dataclass(frozen=True)
class StepWarning(Event):
    """A step was not what its method promises (no descent, a line search that gave up).

    ``words`` say why; the same text is not repeated while it stays so. At step 0 they describe
    pretraining before the first step.
    """

    run: int
    step: int
    words: str


@dataclass(frozen=True)
class RunEnded(Event):
    """One run is over.

    Attributes:
        steps, seconds: taken.
        final: numbers by name; see :class:`optlab.training.final_results.FinalResult`.
        theta_sha256: hash of the final parameters; see
            :func:`optlab.training.snapshot.theta_sha256`.
        reason: why it ended, as text; of a diverged run with the first tensor that was not finite.
        non_finite_tensor: name of that tensor, else "".
        confusion: the confusion matrix of the test part, a row for each true class; () where there
            is none.
    """

    run: int
    status: Status
    steps: int
    seconds: float
    final: Mapping[str, float | None]
    theta_sha256: str
    reason: str
    non_finite_tensor: str = ""
    confusion: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class SessionEnded(Event):
    """The last event of a session."""


@dataclass(frozen=True)
class SessionFailed(Event):
    """The session failed; the last event.

    ``message`` is for the user, ``detail`` (a traceback) for a report, "" where the message is
    complete. ``invalid``: whether input of the user was not valid; ``field``: the path of the
    invalid field, or "". ``changed_data``: which file a stored run has read otherwise, a sentence,
    where that is why it failed; the job can be asked to go on.
    """

    message: str
    detail: str = ""
    invalid: bool = False
    field: str = ""
    changed_data: str = ""


@dataclass(frozen=True)
class TaskProgress(Event):
    """Progress of a longer task other than training; ``done`` from 0 to 1."""

    done: float
    words: str = ""


@dataclass(frozen=True)
class TaskResult(Event):
    """The result of a task other than training; ``value`` has NumPy arrays and plain values."""

    value: Any = field(default=None)
