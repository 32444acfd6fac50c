"""Recomputation: the state of a stored run at any of its steps, by taking the steps again.

The session that trained the run is executed from the snapshot before, with the messages of the run,
until the step; its values are compared with the recorded ones, which tells whether this machine
computes the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from optlab.core.errors import StoreError
from optlab.core.lazy import numpy as np
from optlab.experiment import Experiment
from optlab.experiment.data_files import experiment_of
from optlab.history.plan import Log, Plan
from optlab.history.plan import plan as planned
from optlab.store import Store
from optlab.training.control import Controls, Message, Replay, SetValue, Stop, TakeSnapshot
from optlab.training.events import Event, SeriesBlock, SnapshotTaken
from optlab.training.session import session
from optlab.training.snapshot import Snapshot

CHECKED = "batch_loss"
"""The series by which it is seen whether the same numbers come out."""


@dataclass(frozen=True)
class Progress:
    """How far a recomputation has come: ``step``, and the share ``done`` of it, 0 to 1."""

    step: int
    done: float


@dataclass(frozen=True)
class Moment:
    """A run between two steps.

    Attributes:
        plan: how the step was reached.
        experiment: that the run was asked for.
        snapshot: its state, and the values that had been changed until then.
        exact: whether the steps that were taken again gave the recorded losses bit for bit; None
            where there was nothing to compare.
    """

    plan: Plan
    experiment: Experiment
    snapshot: Snapshot
    exact: bool | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Sentences about what is not as it should be."""
        if self.exact is not False:
            return self.plan.unusable
        return (
            *self.plan.unusable,
            f"Computing step {self.plan.step:,} again gave other losses than were recorded: the run "
            "was trained with other versions, on another machine, or as one of a population; the "
            "state is close to that of the run, but not the same bit for bit.",
        )


def moment(
    plan: Plan, experiment: Experiment, store: Store, controls: Controls, *, whole: bool = True
) -> Iterator[Progress | Moment]:
    """Yield how far it has come, and last the state of a run at a step.

    Nothing more is yielded after a Stop.

    Args:
        plan: what is to be reached.
        experiment: that the run was asked for, in TOML the one of its record.
        store: that has the run.
        controls: where a Stop may come from.
        whole: whether instruments are read again, so that the state has what they remember;
            training does not depend on it.

    Raises:
        InvalidInput: the experiment cannot be run here.
        StoreError: the step cannot be reached, or recorded values are damaged.
    """
    if plan.ready:
        assert plan.start is not None
        yield Moment(plan, experiment, plan.start)
        return
    replay = _Replay(plan.log, plan.step, controls, whole=whole)
    block: SeriesBlock | None = None
    for event in _events(plan, experiment, replay, whole=whole):
        if replay.stopped:
            return
        if isinstance(event, SeriesBlock):
            block = event if CHECKED in event.series else block
            done = (event.step - plan.begin) / max(plan.steps, 1)
            yield Progress(event.step, min(done, 1.0))
        elif (
            isinstance(event, SnapshotTaken)
            and event.snapshot.step == plan.step
            and event.snapshot.reason in ("asked", "end", "last_finite")
        ):
            snapshot = dataclasses.replace(event.snapshot, seconds=plan.seconds)
            yield Moment(plan, experiment, snapshot, _as_recorded(plan, block, store))
            return
    if not replay.stopped:
        raise StoreError(
            f"Run {plan.record.id} cannot be computed again up to step {plan.step:,}: it ends "
            f"before. {' '.join(plan.unusable)}".rstrip()
        )


def reach(store: Store, run: str, step: int | None = None, *, changed_data: bool = False) -> Moment:
    """Return the state of a stored run at a step, and wait for it.

    Args:
        store: that has the run.
        run: its id, or a unique prefix of it.
        step: number of steps completed; None for the last good one.
        changed_data: whether to go on although the files that the run has read have changed.

    Raises:
        InvalidInput: there is no such run or step, or the run cannot be executed here.
        StoreError: what is stored is damaged.
    """
    found = planned(store, run, step)
    record = found.record
    experiment = experiment_of(
        record.id, record.experiment, record.identities, changed_data=changed_data
    )
    *_, last = moment(found, experiment, store, Replay(()))
    assert isinstance(last, Moment)
    return last


def _events(plan: Plan, experiment: Experiment, replay: _Replay, *, whole: bool) -> Iterator[Event]:
    # The time limit was that of the run; its end is known.
    timeless = experiment.budget.model_copy(update={"seconds": 0.0})
    instruments = experiment.instruments if whole else ()
    again = dataclasses.replace(experiment, budget=timeless, instruments=instruments)
    yield from session([again], replay, None if plan.start is None else [plan.start])


def _as_recorded(plan: Plan, block: SeriesBlock | None, store: Store) -> bool | None:
    if block is None:
        return None
    computed = block.series[CHECKED]
    first, last = int(computed.steps[0]), int(computed.steps[-1])
    recorded = store.series_between(plan.record.id, CHECKED, first, last)
    if recorded is None or not np.array_equal(recorded.steps, computed.steps):
        return None
    return np.array_equal(recorded.values, computed.values[:, 0], equal_nan=True)


class _Replay:
    """The messages of a run until a step, and there the request for a snapshot."""

    def __init__(self, log: Log, step: int, controls: Controls, *, whole: bool) -> None:
        self._log = [entry for entry in log if whole or isinstance(entry[1], SetValue)]
        self._step = step
        self._controls = controls
        self.stopped = False

    def receive(self, step: int) -> list[Message]:
        """See :class:`optlab.training.control.Controls`."""
        if any(isinstance(message, Stop) for message in self._controls.receive(step)):
            self.stopped = True
            return [Stop()]
        due = [message for at, message in self._log if at <= step]
        self._log = [entry for entry in self._log if entry[0] > step]
        return [*due, TakeSnapshot()] if step == self._step else due

    def wait(self, seconds: float) -> None:
        """See :class:`optlab.training.control.Controls`; nothing is waited for."""

    def quiet_until(self, step: int) -> float:
        """See :class:`optlab.training.control.Controls`."""
        wanted = [at for at in (self._step, *(at for at, _ in self._log)) if at >= step]
        return min([self._controls.quiet_until(step), *wanted])
