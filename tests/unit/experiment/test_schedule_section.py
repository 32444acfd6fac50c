"""The section ``[schedules]``: reading, changing, checking, writing."""

from __future__ import annotations

from typing import Any

import pytest

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment

TABLES: dict[str, Any] = {
    "dataset": {"name": "iris"},
    "model": {"name": "linear"},
    "optimizer": {"name": "momentum"},
}
RAISED = "from 0.5; linear to 0.9 in 250"


def experiment(**tables: Any) -> Experiment:
    return Experiment.from_dict({**TABLES, **tables})


def test_that_a_file_with_schedules_is_written_and_read_as_the_same() -> None:
    one = experiment(schedules={"optimizer.momentum": RAISED, "loss.l2": "from 0.1; hold 3 epochs"})
    assert Experiment.from_toml(one.to_toml()) == one
    assert "schedules" not in experiment().to_dict()


def test_that_a_path_needs_no_quotes_in_the_file() -> None:
    text = experiment().to_toml() + f'\n[schedules]\noptimizer.momentum = "{RAISED}"\n'
    assert Experiment.from_toml(text) == experiment(schedules={"optimizer.momentum": RAISED})


def test_that_schedules_are_set_and_removed_by_path() -> None:
    raised = experiment().with_value("schedules.optimizer.momentum", RAISED)
    assert raised == experiment(schedules={"optimizer.momentum": RAISED})
    assert raised.with_value("schedules.optimizer.momentum", "off") == experiment()


@pytest.mark.parametrize("forwards", [True, False])
def test_that_a_rule_and_its_schedule_are_set_together_in_any_order(forwards: bool) -> None:
    changes = {"optimizer.name": "nesterov", "schedules.optimizer.momentum": "nesterov"}
    items = list(changes.items())
    changed = experiment().with_values(dict(items if forwards else reversed(items)))
    assert changed.schedules[0].line == "nesterov"


def test_that_a_rule_without_the_field_takes_its_schedule_away_and_no_other() -> None:
    one = experiment(schedules={"optimizer.momentum": RAISED, "loss.l2": "from 0.1"})
    assert one.with_value("optimizer.name", "nesterov").schedules == one.schedules
    changed = one.with_value("optimizer.name", "adam")
    assert [schedule.path for schedule in changed.schedules] == ["loss.l2"]


@pytest.mark.parametrize(
    ("schedules", "message"),
    [
        (
            {"optimizer.momentun": RAISED},
            "schedules.optimizer.momentun: this experiment has no number 'optimizer.momentun' that "
            "can follow a schedule (did you mean optimizer.momentum?); those that can are "
            "optimizer.momentum, ",
        ),
        (
            {"optimizer.momentum": "linear to 1.5 in 10"},
            "schedules.optimizer.momentum reaches 1.5, but optimizer.momentum must be a number at "
            "least 0 and below 1.",
        ),
        (
            {"optimizer.momentum": "linear to 1.5"},
            "schedules.optimizer.momentum is 'linear to 1.5', but 'in' is missing before the end.",
        ),
        (
            {"optimizer.momentum": 0.9},
            "schedules.optimizer.momentum is 0.9, but it must be a text such as",
        ),
        (
            {"optimizer.lr": "linear to 0 in 10"},
            "schedules.optimizer.lr: the learning rate has a section of its own; set schedule.name "
            "= \"pieces\" and schedule.pieces = 'linear to 0 in 10'.",
        ),
        ({"batches.size": "linear to 64 in 10"}, "no number 'batches.size' that can follow"),
        ({"loss.l2": "hold " + "9" * 2000}, "schedules.loss.l2 is longer than 2,000 characters."),
    ],
)
def test_that_a_mistake_is_told(schedules: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        experiment(schedules=schedules)
    assert message in str(caught.value)
    assert caught.value.field.startswith("schedules.")


def test_that_a_mistake_in_the_pieces_of_the_rate_is_told() -> None:
    with pytest.raises(InvalidInput) as caught:
        experiment(schedule={"name": "pieces", "pieces": "linear to 1"})
    assert str(caught.value) == (
        "schedule.pieces is 'linear to 1', but 'in' is missing before the end."
    )
    assert caught.value.field == "schedule.pieces"
