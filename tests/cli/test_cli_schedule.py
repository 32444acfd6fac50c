"""``optlab schedule``: curves of the schedules, in characters and as JSON."""

from __future__ import annotations

import json

import pytest

from optlab.cli.app import main

PIECES = "schedule.pieces=from 0%; linear to 100% in 10; hold 1 epoch; cosine to 0 in 20"


def test_that_curves_come_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(
        [
            "schedule",
            "digits-mlp",
            "--set",
            "schedule.name=pieces",
            "--set",
            PIECES,
            "--set",
            "schedules.optimizer.momentum=from 0.5; linear to 0.9 in 40",
            "--json",
        ]
    )
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert code == 0 and captured.err == ""
    rate, momentum = document["schedules"]
    assert [rate["path"], momentum["path"]] == ["optimizer.lr", "optimizer.momentum"]
    assert rate["steps"][0] == 0 and rate["values"][0] == 0.0
    assert max(momentum["values"]) == 0.9 and momentum["values"][0] == 0.5
    assert not rate["depends_on_losses"]


def test_that_curves_are_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedule", "digits-mlp", "--set", "schedule.name=plateau"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Learning rate (optimizer.lr) over 2,000 steps\n")
    assert "It changes with the losses of the run; this is its start." in shown and "*" in shown


def test_that_a_mistake_is_told_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedule", "digits-mlp", "--set", "schedules.loss.l2=linear"]) == 2
    assert "schedules.loss.l2 is 'linear', but 'to' is missing before the end." in (
        capsys.readouterr().err
    )
