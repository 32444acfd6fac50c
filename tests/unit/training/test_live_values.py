"""Live changes: every number of a rule, a schedule, clipping, and the batch size; exact in replay."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch

from optlab.core import registry
from optlab.core.component import Component
from optlab.core.errors import InvalidInput
from optlab.core.fields import Field
from optlab.experiment import Experiment
from optlab.store import controls
from optlab.training.control import Replay, SetPace, SetValue
from optlab.training.events import MessageApplied, RunEnded, SeriesBlock, SnapshotTaken
from optlab.training.session import session
from optlab.training.trainer import Trainer

BASE: dict[str, Any] = {
    "dataset": {"name": "moons", "size": 60, "test": 0.0},
    "model": {"name": "linear"},
    "batches": {"name": "shuffled", "size": 8},
    "measures": {"evaluate_every": 3},
    "budget": {"steps": 24},
    "device": "cpu",
}


def experiment(**sections: Any) -> Experiment:
    return Experiment.from_dict({**BASE, **sections})


def another(field: Field, value: float) -> float:
    """A value that is allowed and differs."""
    for candidate in (value * 1.5, value * 0.5, value + 1, 0.25, 3.0):
        number = int(candidate) if field.kind == "integer" else candidate
        if number != value and _allowed(field, number):
            return number
    raise AssertionError(f"no other value for {field.name}")


def _allowed(field: Field, value: float) -> bool:
    return (
        (field.ge is None or value >= field.ge)
        and (field.gt is None or value > field.gt)
        and (field.le is None or value <= field.le)
        and (field.lt is None or value < field.lt)
    )


def of(events: list[Any], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


COMPONENTS = [
    (kind, component.name)
    for kind in ("schedule", "clipping")
    for component in registry.components(kind)
] + [("optimizer", name) for name in ("nesterov", "adamw", "lion", "adadelta", "lbfgs", "newton")]


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_that_every_number_can_be_changed_and_resuming_after_it_is_exact(kind, name):
    part: Component = registry.build(kind, {"name": name})
    given = experiment(**{kind: {"name": name}})
    paths = [path for path in given.live_fields() if path.startswith(f"{kind}.")]
    numeric = [field.name for field in part.fields() if field.kind in ("number", "integer")]
    assert len(paths) >= len(set(numeric) - set(getattr(part, "fixed", ())))
    # One after another: a schedule may bound one of its numbers by another.
    log = []
    for place, path in enumerate(paths):
        field = given.live_fields()[path]
        value = getattr(part, field.name)
        log.append((9 + place, SetValue(path, another(field, value))))
    log.append((9, SetValue("batches.size", 5)))
    log.sort(key=lambda entry: entry[0])
    whole = list(session([given], Replay(log)))
    applied = of(whole, MessageApplied)
    assert len(applied) == len(log)
    changed = [
        event.snapshot for event in of(whole, SnapshotTaken) if event.snapshot.reason == "changed"
    ]
    assert [one.step for one in changed] == sorted({step for step, _ in log})
    last = max(step for step, _ in log)
    resumed = list(
        session([given], Replay([entry for entry in log if entry[0] >= 10]), changed[:1])
    )
    (one,), (two,) = of(whole, RunEnded), of(resumed, RunEnded)
    assert one.theta_sha256 == two.theta_sha256 and one.steps == 24
    accepted = {event.message.path for event in applied if not event.problem}
    assert changed[-1].values.keys() == accepted and "batches.size" in accepted
    assert changed[-1].step == last
    # What was refused was refused with a reason: two numbers that bound each other.
    assert all(event.problem.endswith(".") for event in applied if event.problem)


@pytest.mark.parametrize(
    ("path", "asked"), [("batches.size", 5.0), ("schedule.tau", 3.0), ("optimizer.lr", 1)]
)
def test_that_a_change_is_reported_as_its_field_has_it(path, asked):
    """A slider sends 5.0 for a batch size, which an experiment does not take as a whole number."""
    given = experiment(
        optimizer={"name": "sgd", "lr": 0.1}, schedule={"name": "cosine", "tau": 20, "last": 0.1}
    )
    (applied,) = of(list(session([given], Replay([(2, SetValue(path, asked))]))), MessageApplied)
    assert not applied.problem and applied.message.value == asked
    changed = given.with_values({path: applied.message.value}, check=False)
    section, _, field = path.partition(".")
    assert type(getattr(getattr(changed, section), field)) is type(applied.message.value)


def test_that_a_schedule_follows_its_new_numbers():
    given = experiment(
        optimizer={"name": "sgd", "lr": 0.1},
        schedule={"name": "cosine", "tau": 4, "last": 0.1, "unit": "epochs"},
    )
    events = list(session([given], Replay([(10, SetValue("schedule.tau", 3))])))
    rates = np.concatenate(
        [event.series["learning_rate"].values[:, 0] for event in of(events, SeriesBlock)]
    )
    epoch = given.batches.steps_per_epoch(len(given.dataset.load().training))
    for step in (5, 9, 10, 15):
        tau = (4 if step < 10 else 3) * epoch
        share = min(step / tau, 1.0)
        expected = 0.1 * (0.1 + 0.9 * 0.5 * (1.0 + np.cos(np.pi * share)))
        assert rates[step] == pytest.approx(expected, rel=1e-6)


def test_that_the_batch_size_is_changed_in_all_runs_of_a_population_only():
    members = [experiment(seed=seed) for seed in (1, 2)]
    trainer = Trainer(members)
    with pytest.raises(
        InvalidInput, match=r"the same in all runs of a population; change it in all"
    ):
        trainer.set_value("batches.size", 4, 1)
    for _ in range(3):
        trainer.advance()
    trainer.set_value("batches.size", 4)
    assert trainer.batch_of(3)[0].shape[1] == 4 and trainer.batch_of(2)[0].shape[1] == 8
    trainer.advance()
    # A resumed population receives it once, for all.
    log = [(3, SetValue("batches.size", 4)), (4, SetValue("optimizer.lr", 0.2))]
    assert controls.for_population([log, log[:1]]) == (
        (3, SetValue("batches.size", 4)),
        (4, SetValue("optimizer.lr", 0.2, 0)),
    )


def test_that_a_batch_continues_where_the_one_before_it_ended():
    trainer = Trainer([experiment(batches={"name": "never_shuffled", "size": 7})])
    examples = len(trainer.requested[0].dataset.load().training)
    seen = []
    for step, size in enumerate([7, 7, 4, 4, 4, 4, 9, 9, 9, 9, 9, 9, 9, 9]):
        trainer.set_value("batches.size", size)
        seen.append(trainer.batch_of(step)[0][0])
        trainer.advance()

    joined = torch.cat(seen)
    first = Trainer([experiment(batches={"name": "never_shuffled", "size": 0})]).batch_of(0)[0][0]
    assert torch.equal(joined[:examples], first)
    assert torch.equal(joined[examples : examples + 20], first[:20])


def test_that_a_pace_slows_a_run_down_and_changes_nothing_else():
    class Patient(Replay):
        def wait(self, seconds: float) -> None:
            time.sleep(seconds)

    given = experiment(budget={"steps": 8})
    began = time.perf_counter()
    events = list(session([given], Patient([(0, SetPace(40.0)), (6, SetPace(0.0))])))
    took = time.perf_counter() - began
    (slow,) = of(events, RunEnded)
    (fast,) = of(list(session([given], Replay([]))), RunEnded)
    # Six steps at 40 a second, the first at once; what is waited is no time of training. Half of it,
    # as waits may end early.
    assert took - slow.seconds >= 2 / 40.0
    assert slow.theta_sha256 == fast.theta_sha256
    assert controls.from_json(controls.to_json(SetPace(2.5))) == SetPace(2.5)
    assert not controls.replayable(SetPace(2.5))
