"""Plans: from which snapshot a step of a stored run is reached, and how long that takes."""

from __future__ import annotations

from dataclasses import dataclass

from optlab.core.errors import InvalidInput, StoreError
from optlab.core.lazy import numpy as np
from optlab.store import RunRecord, SnapshotRecord, Store
from optlab.store.controls import persistent_messages, replayable
from optlab.training.control import Message, SetValue
from optlab.training.events import SECONDS
from optlab.training.snapshot import Snapshot

Log = tuple[tuple[int, Message], ...]
"""Messages, each with the number of steps completed before it."""


@dataclass(frozen=True)
class Plan:
    """How the state of a run after ``step`` steps is reached.

    Attributes:
        record: of the run. step: see above; last: the last step that the run has.
        start: the snapshot to begin at; None for the run's own start.
        log: the messages that the run received from there until the step, those before the next
            step included.
        later: the messages that it received after.
        seconds: training time of the run until the step. cost: estimate of the seconds that the
            steps in between take, from how long the run took for them.
        unusable: a sentence for each snapshot that was passed over because it is damaged.
    """

    record: RunRecord
    step: int
    last: int
    start: Snapshot | None
    log: Log
    later: Log
    seconds: float
    cost: float
    unusable: tuple[str, ...] = ()

    @property
    def begin(self) -> int:
        """The step of the snapshot to begin at."""
        return 0 if self.start is None else self.start.step

    @property
    def steps(self) -> int:
        """Number of steps to take again."""
        return self.step - self.begin

    @property
    def ready(self) -> bool:
        """Whether the snapshot itself is what is asked for."""
        return (
            self.start is not None
            and self.steps == 0
            and (
                self.start.reason == "changed"
                or not any(
                    at == self.step and isinstance(message, SetValue) for at, message in self.log
                )
            )
        )

    @property
    def announcement(self) -> str:
        """A sentence that says how long it takes; "" where that is not worth a word."""
        if self.cost <= 1.0:
            return ""
        origin = f"the snapshot of step {self.begin:,}" if self.start else "the start of the run"
        return (
            f"Step {self.step:,} is computed again from {origin}: {self.steps:,} steps, about "
            f"{self.cost:,.0f} s."
        )


def plan(store: Store, run: str, step: int | None = None) -> Plan:
    """Return how a step of a stored run is reached.

    Args:
        store: that has the run.
        run: its id, or a unique prefix of it.
        step: number of steps completed; None for the last one that is known to be good, which of a
            run that diverged is the one before it did.

    Raises:
        InvalidInput: there is no such run, or it does not have this step.
        StoreError: what is stored is damaged.
    """
    record = store.run(run)
    kept = store.snapshots(record.id)
    last = max(record.steps, record.at)
    step = last if step is None else step
    if not record.at <= step <= last:
        raise InvalidInput(_out_of_range(record, step, last), "at")
    messages = [(at, message) for at, message in store.controls(record.id) if replayable(message)]
    start, unusable = _nearest(store, record, kept, step)
    begin = 0 if start is None else start.step
    log = persistent_messages(messages, begin) + [
        (at, message) for at, message in messages if begin <= at <= step
    ]
    later = tuple((at, message) for at, message in messages if at > step)
    seconds, began = _seconds_at(store, record, kept, [step, begin])
    return Plan(
        record,
        step,
        last,
        start,
        tuple(log),
        later,
        seconds,
        max(seconds - began, 0.0),
        tuple(unusable),
    )


def _out_of_range(record: RunRecord, step: int, last: int) -> str:
    if not record.parent:
        return (
            f"at is {step:,}, but run {record.id} has {last:,} steps; choose a step from 0 to "
            f"{last:,}."
        )
    return (
        f"at is {step:,}, but run {record.id} is a fork that has the steps {record.at:,} to "
        f"{last:,}; those before are in run {record.parent}."
    )


def _nearest(
    store: Store, record: RunRecord, kept: list[SnapshotRecord], step: int
) -> tuple[Snapshot | None, list[str]]:
    """Return the newest snapshot up to a step that can be read, and why others cannot."""
    unusable: list[str] = []
    before = [one for one in kept if 0 <= one.step <= step]
    for one in sorted(before, key=lambda one: (one.step, one.reason == "changed"), reverse=True):
        try:
            return store.load_snapshot(one), unusable
        except StoreError as error:
            unusable.append(str(error))
    if record.parent:
        raise StoreError(
            f"Run {record.id} is a fork, and none of its snapshots up to step {step:,} can be read; "
            f"fork again: optlab fork {record.parent} --at {record.at}."
        )
    return None, unusable


def _seconds_at(
    store: Store, record: RunRecord, kept: list[SnapshotRecord], steps: list[int]
) -> list[float]:
    """Return the training time of a run at steps; between those at which it is known, linearly.

    A run of an older version has noted it in its snapshots alone.
    """
    known = {0: 0.0, record.steps: record.seconds}
    known |= {one.step: one.seconds for one in kept if one.intact}
    for step in steps:
        noted = store.series_between(record.id, SECONDS, step, step)
        if noted is not None and len(noted.values):
            known[step] = float(noted.values[-1])
    at = sorted(known)
    return [float(value) for value in np.interp(steps, at, [known[step] for step in at])]
