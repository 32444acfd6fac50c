"""Epochs as a unit: the same run as with the steps written out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from optlab.core import registry
from optlab.core.fields import STEPS_OR_EPOCHS
from optlab.experiment import Experiment
from optlab.experiment.epochs import in_steps
from optlab.experiment.sections import PLAIN_SECTIONS, SECTIONS
from optlab.training.control import Inbox
from optlab.training.events import RunEnded, SeriesBlock, SessionStarted
from optlab.training.session import session

TABLES: dict[str, Any] = {
    "dataset": {"name": "iris"},
    "model": {"name": "linear"},
    "batches": {"name": "shuffled", "size": 32},
}
EPOCH = 3  # 90 examples in batches of 32


def experiment(**tables: Any) -> Experiment:
    return Experiment.from_dict({**TABLES, **tables})


def ended(one: Experiment) -> tuple[RunEnded, list[int], int]:
    """The end of a run, the steps of its evaluations, and its budget in steps."""
    steps: list[int] = []
    budget = 0
    for event in session([one], Inbox()):
        if isinstance(event, SeriesBlock) and "train_loss" in event.series:
            steps += event.series["train_loss"].steps.tolist()
        elif isinstance(event, SessionStarted):
            budget = event.steps
        elif isinstance(event, RunEnded):
            end = event
    return end, steps, budget


def test_that_a_run_in_epochs_is_the_run_in_steps() -> None:
    schedule = {"name": "linear_decay", "tau": 4}
    in_epochs = experiment(
        budget={"steps": 8, "unit": "epochs"},
        schedule={**schedule, "unit": "epochs"},
        measures={"evaluate_every": 2, "gradient_every": 4, "unit": "epochs"},
    )
    written_out = experiment(
        budget={"steps": 8 * EPOCH},
        schedule={**schedule, "tau": 4 * EPOCH},
        measures={"evaluate_every": 2 * EPOCH, "gradient_every": 4 * EPOCH},
    )
    first, second = ended(in_epochs), ended(written_out)
    assert first[0].theta_sha256 == second[0].theta_sha256
    assert first[0].steps == 8 * EPOCH and first[2] == 8 * EPOCH
    assert first[1] == second[1] == [0, 6, 12, 18, 24]
    other = ended(experiment(budget={"steps": 8 * EPOCH}, schedule=schedule))
    assert other[0].theta_sha256 != first[0].theta_sha256


def test_that_the_same_number_of_epochs_sees_the_same_number_of_examples() -> None:
    budget = {"steps": 5, "unit": "epochs"}
    for size in (1, 32, 90, 0):
        one = experiment(budget=budget, batches={"name": "shuffled", "size": size})
        assert ended(one)[0].steps == 5 * one.batches.steps_per_epoch(90)


def sections_with_units() -> Iterable[tuple[str, Any]]:
    for key in SECTIONS:
        for component in registry.components(key):
            if "unit" in component.model_fields:
                yield key, component
    for key, section in PLAIN_SECTIONS.items():
        if "unit" in section.model_fields:
            yield key, section


def test_that_every_schedule_that_counts_steps_can_count_epochs() -> None:
    found = {f"{key}.{getattr(part, 'name', '')}" for key, part in sections_with_units()}
    assert {"budget.", "measures.", "schedule.linear_decay", "schedule.cosine"} <= found
    for key in ("schedule", "continuation"):
        for component in registry.components(key):
            counts = [field.name for field in component.fields() if "step" in field.unit]
            assert not counts or "unit" in component.model_fields, component.name


@pytest.mark.parametrize("key, part", list(sections_with_units()), ids=str)
def test_that_only_counts_are_converted(key: str, part: Any) -> None:
    one = experiment()
    values = {"unit": "epochs"} | ({"name": part.name} if hasattr(part, "name") else {})
    one = Experiment.from_dict({**one.to_dict(), key: values}, check=False)
    before, after = getattr(one, key), getattr(in_steps(one, 7), key)
    for field in part.fields():
        counted = field.unit == STEPS_OR_EPOCHS
        if field.name == "unit":
            assert after.unit == "steps"
        elif counted:
            assert getattr(after, field.name) == 7 * getattr(before, field.name)
        else:
            assert getattr(after, field.name) == getattr(before, field.name)


def test_that_an_experiment_in_steps_stays_the_same_object() -> None:
    one = experiment()
    assert in_steps(one, 7) is one
