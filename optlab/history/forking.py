"""Forks: a new run that begins at a step of another one, with its state and with changes.

A fork without changes gives the numbers of its parent bit for bit: it has the same weights, the same
optimizer state and the same place among the batches, and what was changed by hand later is repeated.
With changes it takes over the state that both rules have, and begins the rest anew.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.catalogue.optimizers.base import ObjectiveOptimizer
from optlab.core.errors import InvalidInput
from optlab.core.fields import STEPS_OR_EPOCHS
from optlab.experiment import Experiment
from optlab.experiment.epochs import in_steps
from optlab.experiment.sections import Budget, MeasurePlan
from optlab.history.plan import Log
from optlab.history.recomputation import Moment
from optlab.objective.run_states import MODEL
from optlab.training.batches import Segment, place_of
from optlab.training.control import SHARED_PATHS, Message, SetValue
from optlab.training.groups import Begun
from optlab.training.restoring import begun, remembered, segment, stopping_memory
from optlab.training.session import GRADIENT_EPOCHS
from optlab.training.snapshot import BATCHES, BEGUN, CLIPPED, FORK, GRADIENTS, SCHEDULE, Snapshot
from optlab.training.state_names import (
    AVERAGING,
    BEST,
    BEST_MODEL,
    DELAY,
    is_own,
)

_BEFORE_THE_START = ("initializer", "pretraining")


def fits_fork(path: str) -> bool:
    """Return whether a change of a field can have an effect in a fork, by its path.

    Of data and model some can; whether they leave the weights their shape is known when it is made.
    """
    return path.partition(".")[0] not in _BEFORE_THE_START


@dataclass(frozen=True)
class Fork:
    """A run that can begin at a step of another. It can be sent to another process.

    Attributes:
        experiment: of the new run, as TOML.
        parent: id of the run that it begins in. at: the step.
        snapshot: the state that it begins with; what it lacks begins anew.
        log: messages that the new run receives, each with the number of completed steps before it.
        repeated: how many of them the parent received after the step.
    """

    experiment: str
    parent: str
    at: int
    snapshot: Snapshot
    log: Log = ()
    repeated: int = 0


def changed(
    at: Moment, changes: Mapping[str, Any], *, examples: int, check: bool = True
) -> Experiment:
    """Return the experiment of a fork: as it was at the step, with the changes.

    Args:
        at: the run between two steps.
        changes: path → value; see :meth:`optlab.experiment.Experiment.with_values`.
        examples: number of its training examples.
        check: see :meth:`optlab.experiment.Experiment.from_dict`.

    Raises:
        InvalidInput: a change is not valid.
    """
    present = current(at, examples)
    return present.with_values(changes, check=check) if changes else present


def current(at: Moment, examples: int) -> Experiment:
    """Return the experiment of a run with what had been changed by hand until a step.

    Args:
        at: the run between two steps. examples: number of its training examples.
    """
    given, values = at.experiment, at.snapshot.values
    present = given.with_values(values, check=False) if values else given
    if not _rebatched(at):
        return present
    # Of another batch size an epoch has another number of steps, but neither did the budget change
    # with it, nor the schedule, nor the evaluations.
    epoch = given.batches.steps_per_epoch(examples)
    present = in_steps(present, epoch)
    plan = present.measures
    measures = plan.model_copy(
        update={
            "evaluate_every": plan.evaluate_every or epoch,
            "gradient_every": plan.gradient_every or GRADIENT_EPOCHS * epoch,
        }
    )
    return dataclasses.replace(present, measures=measures)


def _rebatched(at: Moment) -> bool:
    """Return whether the batch size had been changed by hand."""
    return not SHARED_PATHS.isdisjoint(at.snapshot.values)


def _later(at: Moment, examples: int) -> Log:
    """Return what a run received after a step, as :func:`current` counts."""
    if not _rebatched(at):
        return at.plan.later
    epoch = at.experiment.batches.steps_per_epoch(examples)
    return tuple(
        (step, _in_steps(message, at.experiment, epoch)) for step, message in at.plan.later
    )


def _in_steps(message: Message, given: Experiment, epoch: int) -> Message:
    if not isinstance(message, SetValue):
        return message
    section, _, name = message.path.partition(".")
    part = getattr(given, section)
    counts_epochs = (
        getattr(part, "unit", "") == "epochs" and part.field(name).unit == STEPS_OR_EPOCHS
    )
    return dataclasses.replace(message, value=message.value * epoch) if counts_epochs else message


def to(at: Moment, experiment: Experiment, *, fresh_state: bool = False, examples: int) -> Fork:
    """Return the fork of a run that continues as another experiment.

    Args:
        at: the run between two steps.
        experiment: of the fork.
        fresh_state: whether the optimizer begins anew, whatever its state was.
        examples: number of training examples of the run.

    Raises:
        InvalidInput: it does not fit the weights, or no step is left to take.
    """
    parent, step = at.plan.record.id, at.plan.step
    before = current(at, examples)
    _check_fits(before, experiment)
    n = experiment.batches.steps_per_epoch(examples)
    budget = in_steps(experiment, n).budget.steps
    if budget <= step:
        raise InvalidInput(
            f"The budget of {budget:,} steps is spent at step {step:,}; give the fork a budget "
            f"of more than {step:,} steps (budget.steps).",
            "budget.steps",
        )
    untouched = _course(experiment) == _course(before) and not fresh_state
    later = _later(at, examples) if untouched else ()
    lasting = tuple(
        (step, message) for _, message in at.plan.log if not isinstance(message, SetValue)
    )
    snapshot = dataclasses.replace(
        at.snapshot,
        reason=FORK,
        values={},
        state=_state(at.snapshot.state, before, experiment, fresh=fresh_state),
        memory=_memory(at.snapshot, before, experiment, examples, fresh=fresh_state),
    )
    return Fork(experiment.to_toml(), parent, step, snapshot, lasting + later, len(later))


def _course(experiment: Experiment) -> Experiment:
    """Return an experiment without what does not change the course of its runs."""
    return dataclasses.replace(
        experiment,
        general=experiment.general.model_copy(update={"title": ""}),
        budget=Budget(),
        measures=MeasurePlan(),
        instruments=(),
    )


def _check_fits(before: Experiment, after: Experiment) -> None:
    """Check that the weights of a run can be those of another experiment.

    Raises:
        InvalidInput: they cannot.
    """
    for section in _BEFORE_THE_START:
        if getattr(before, section) != getattr(after, section):
            raise InvalidInput(
                f"[{section}] acts before the first step, and a fork takes its weights from its "
                "parent; leave it as it is, or start a new run.",
                f"{section}.name",
            )
    if (before.dataset, before.model) == (after.dataset, after.model):
        return
    shapes = [
        [(parameter.name, parameter.shape) for parameter in one.layout().parameters]
        for one in (before, after)
    ]
    if shapes[0] != shapes[1]:
        section = "model" if before.model != after.model else "dataset"
        counts = " and ".join(f"{one.layout().total:,}" for one in (before, after))
        raise InvalidInput(
            f"[{section}] gives the model other tensors ({counts} parameters), and a fork takes its "
            "weights from its parent; leave it as it is, or start a new run.",
            f"{section}.name",
        )


def _state(
    state: Mapping[str, Any], before: Experiment, after: Experiment, *, fresh: bool
) -> dict[str, Any]:
    """Return the entries of a state that mean the same in another experiment."""
    kept: dict[str, Any] = {}
    for name, value in state.items():
        if name.startswith(AVERAGING):
            carried = before.averaging == after.averaging
        elif name.startswith((DELAY, MODEL)):
            carried = True
        elif name == BEST or name.startswith(BEST_MODEL):
            carried = before.stopping == after.stopping
        else:
            meaning = before.optimizer.meaning(name)
            carried = not fresh and meaning == after.optimizer.meaning(name)
        if carried:
            kept[name] = value
    return kept


def _memory(
    snapshot: Snapshot, before: Experiment, after: Experiment, examples: int, *, fresh: bool
) -> dict[str, float]:
    """Return what a fork remembers of its parent."""
    memory = dict(snapshot.memory)
    if before.stopping != after.stopping:
        _drop(memory, stopping_memory(memory))
    if type(before.schedule) is not type(after.schedule):
        _drop(memory, [name for name in memory if name.startswith(SCHEDULE)])
    # One gradient a step, and nothing clipped, is not counted.
    if not (isinstance(before.optimizer, ObjectiveOptimizer) or before.continuation.active):
        memory.setdefault(GRADIENTS, float(snapshot.step))
    if not before.clipping.active:
        memory.setdefault(CLIPPED, 0.0)
    _drop(memory, [name for name in memory if name.startswith((BATCHES, BEGUN))])
    memory |= remembered(BATCHES, _place(snapshot, before, after, examples))
    since = begun(snapshot.memory)
    own = _state(snapshot.state, before, after, fresh=fresh)
    carried = any(is_own(name) for name in own)
    anew = fresh or not (carried or before.optimizer == after.optimizer)
    memory |= remembered(
        BEGUN,
        Begun(
            snapshot.step if anew else since.optimizer,
            since.averaging if before.averaging == after.averaging else snapshot.step,
        ),
    )
    return memory


def _place(snapshot: Snapshot, before: Experiment, after: Experiment, examples: int) -> Segment:
    """Return where the batches of a fork begin: where those of its parent ended."""
    began = segment(snapshot.memory)
    size = before.batches.batch_size(examples)
    if before.dataset != after.dataset:
        # Other examples: their epoch begins.
        return Segment(snapshot.step, place_of(snapshot.step, began, examples, size).epoch, 0)
    if before.batches.size == after.batches.size:
        return began
    place = place_of(snapshot.step, began, examples, size)
    epochs, offset = divmod(place.offset, examples)
    return Segment(snapshot.step, place.epoch + epochs, offset)


def _drop(memory: dict[str, float], names: Sequence[str] | Mapping[str, float]) -> None:
    for name in names:
        memory.pop(name, None)
