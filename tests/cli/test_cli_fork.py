"""``optlab fork`` and ``optlab explain``: what they say, in this process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from optlab.cli.app import main
from optlab.store import Store


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What ``optlab run --json`` prints of a small run."""
    words = ["run", "moons-mlp", "--steps", "150", "--runner", "thread", "--json"]
    assert main(words) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_that_a_fork_says_what_it_took_over(run, capsys):
    common = ["fork", run["run"], "--at", "60", "--runner", "thread"]
    assert main([*common, "--json"]) == 0
    said = capsys.readouterr()
    same = json.loads(said.out)
    assert said.err == ""
    assert {**run, "run": None, "seconds": None, "steps_per_second": None} == {
        key: None if key in ("run", "seconds", "steps_per_second") else same[key] for key in run
    }
    assert (same["parent"], same["at"]) == (run["run"], 60) and same["exact"] is not False
    assert same["state"] == {"carried": ["v"], "fresh": []} and same["notes"] == []

    assert main([*common, "--set", "optimizer.name=adam", "--steps", "90"]) == 0
    words = capsys.readouterr().out
    assert f"A fork of run {run['run']} at step 60" in words and "began anew         s, r" in words
    assert main(["runs", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["parent"], one["at"], one["steps"]) for one in listed] == [
        (run["run"], 60, 90),
        (run["run"], 60, 150),
        ("", 0, 150),
    ]
    assert main(["runs"]) == 0
    assert f"(fork of {run['run']} at step 60)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--at", "151"], 2, "has 150 steps; choose a step from 0 to 150"),
        (["--at", "soon"], 2, "--at is 'soon', but it must be a number of steps, or last."),
        ([], 2, "The budget of 150 steps is spent at step 150"),
        (["--at", "9", "--set", "model.hidden=[3]"], 2, "[model] gives the model other tensors"),
        (["--at", "9", "--snapshots", "-1"], 2, "--snapshots is '-1', but it must be a number"),
    ],
)
def test_that_what_cannot_be_forked_is_refused(run, capsys, words, code, says):
    assert main(["fork", run["run"], *words, "--json"]) == code
    said = capsys.readouterr()
    assert says in json.loads(said.out)["error"] and says in said.err
    with Store.open_readonly() as store:
        assert len(store.runs()) == 1


def test_that_a_step_is_explained_in_numbers(run, capsys):
    words = ["explain", run["run"], "--at", "40", "--parameter", "layers.0.bias[2]"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["step"], found["parameter"]) == (40, "layers.0.bias[2]")
    assert found["exact"] is not False
    velocity, theta = found["lines"]
    used = velocity["used"]
    assert velocity["text"] == "v ← αv − ε g"
    assert velocity["value"] == pytest.approx(used["α"] * used["v"] - used["ε"] * used["g"])
    assert theta["value"] == found["after"] == pytest.approx(found["before"] + velocity["value"])
    assert main(words) == 0
    said = capsys.readouterr().out
    assert f"Step 40 of run {run['run']}, Momentum: layers.0.bias[2]" in said
    assert velocity["with_numbers"] in said and "\n  θ ← θ + v\n" in said


def test_that_there_is_a_step_to_explain(run, capsys):
    assert main(["explain", run["run"], "--at", "0"]) == 2
    assert "where it begins; choose one from 1 to 150" in capsys.readouterr().err
    assert main(["explain", run["run"], "--parameter", "layers.9"]) == 2
