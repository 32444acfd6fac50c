"""The command of a run trains what the run has trained."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from optlab.core import paths
from optlab.experiment import Experiment
from optlab.tasks.run_command import command_of


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer.lr": 0.1, "seed": 7},
        {"optimizer.name": "adam", "model.hidden": [32, 16], "title": "Mine; rm -rf"},
        {"model.batch_norm": True, "title": "t"},
    ],
)
def test_that_the_command_is_of_the_same_experiment(changes: dict[str, Any]) -> None:
    base = Experiment.load(paths.presets() / "digits-mlp.toml")
    wanted = base.with_values(changes)
    words = shlex.split(command_of(wanted.to_toml(), "20260101-000000-abcd"))
    assert words[:2] == ["optlab", "run"]
    given = dict(word.split("=", 1) for word in words[4::2])
    preset = Experiment.load(paths.presets() / f"{words[2]}.toml")
    assert preset.with_values(given) == wanted


def test_that_a_run_far_from_all_presets_is_forked_at_its_beginning() -> None:
    own = 'dataset = {name = "own"}\n'
    assert command_of(own, "r1") == "optlab fork r1 --at 0"
    base = Experiment.load(paths.presets() / "digits-mlp.toml")
    assert command_of(base.to_toml(), "r1", fork=True) == "optlab fork r1 --at 0"
