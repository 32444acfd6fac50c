"""``optlab view``: what it says, in this process."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from optlab.cli.app import main
from optlab.history.recomputation import reach
from optlab.store import Store
from optlab.tasks.hard_examples import ExamplesView
from optlab.tasks.model_point import model_point


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main([*words, "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    found: dict[str, Any] = json.loads(said.out)
    return found


def test_that_a_stored_run_is_seen_at_any_of_its_steps(capsys: pytest.CaptureFixture[str]) -> None:
    run = answer(capsys, "run", "moons-mlp", "--steps", "60", "--runner", "thread")["run"]
    with Store.open_readonly() as store:
        at = reach(store, run, 25)
    point = model_point(at.experiment, at.snapshot.theta, 25)
    examples = answer(capsys, "view", "examples", run, "--at", "25", "--count", "3")
    expected = ExamplesView(count=3).compute(point)
    assert (examples["run"], examples["step"], examples["part"]) == (run, 25, "validation")
    assert examples["confusion"] == expected.confusion.tolist()
    assert examples["losses"] == pytest.approx(expected.losses.tolist(), rel=1e-12)

    region = answer(capsys, "view", "region", run, "--points", "7")
    assert region["step"] == 60 and np.array(region["probabilities"]).shape == (7, 7, 2)
    part = answer(capsys, "view", "region", run, "--points", "3", "--area", "-1,0.5,0,2")
    assert part["first"] == pytest.approx([-1, -0.25, 0.5], abs=1e-12) and not part["whole"]
    assert part["second"] == pytest.approx([0, 1, 2], abs=1e-12)
    for words in (["region", run, "--area", "1,2"], ["examples", run, "--area", "0,1,0,1"]):
        assert main(["view", *words]) == 2
        assert "--area" in capsys.readouterr().err
    assert main(["view", "region", run, "--at", "25"]) == 0
    said = capsys.readouterr().out
    wrong = [int(points["wrong"].count(True)) for points in region["points"]]
    assert "Step 25" in said and "small letters: probability below 90%" in said
    assert main(["view", "region", run]) == 0
    assert f"training: {wrong[0]:,} of" in capsys.readouterr().out


def test_that_an_experiment_is_trained_for_its_network_and_nothing_is_stored(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["view", "network", "iris-softmax", "--steps", "2", "--example", "1"]
    found = answer(capsys, *words)
    assert found["run"] is None and found["step"] == 2
    assert [layer["parameters"] for layer in found["layers"]] == [0, 15]
    assert np.array(found["layers"][1]["weights"]).shape == (3, 4)
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "15 parameters" in said and "example 1 of the validation part" in said
    assert main(["view", "examples", "iris-softmax"]) == 0
    said = capsys.readouterr().out
    assert "Validation part" in said and "true class by row" in said and "Recall" in said
    assert main(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["region", "iris-softmax"], "two inputs"),
        (["picture", "iris-softmax"], "choose region, examples, network, spectrum or landscape"),
        (["examples", "iris-softmax", "--part", "test"], "must be training or validation"),
        (["examples", "iris-softmax", "--count", "-1"], "--count is -1"),
        (["network", "iris-softmax", "--example", "999"], "--example is 999"),
        (["region", "moons-mlp", "--points", "1"], "must be from 2 to"),
        (["region", "moons-mlp", "--at", "3"], "which has no stored steps"),
        (["region", "moons-mlp", "--steps", "-1"], "--steps is -1"),
        (["region", "no-such-run"], "no-such-run"),
        (["region", "no-such-run", "--steps", "3"], "cannot be combined"),
    ],
)
def test_that_what_cannot_be_seen_is_refused(
    capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert main(["view", *words, "--json"]) == 2
    said = capsys.readouterr()
    assert says in json.loads(said.out)["error"] and says in said.err


def test_that_curvature_is_seen_as_the_tiles_show_it(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["iris-softmax", "--steps", "3"]
    spectrum = answer(capsys, "view", "spectrum", *words)
    assert spectrum["step"] == 3 and spectrum["converged"] and spectrum["run"] is None
    assert spectrum["top"] == sorted(spectrum["top"], reverse=True)
    plane = answer(capsys, "view", "landscape", *words, "--points", "3")
    assert plane["a"] == [-1.0, 0.0, 1.0] and np.array(plane["loss"]).shape == (3, 3)
    assert main(["view", "spectrum", *words]) == 0
    assert f"{spectrum['top'][0]:.6g}" in capsys.readouterr().out
    assert main(["view", "landscape", *words, "--points", "3"]) == 0
    assert f"{plane['loss'][0][2]:.4g}" in capsys.readouterr().out
    assert main(["view", "curvature", *words]) == 2
    assert "spectrum or landscape" in " ".join(capsys.readouterr().err.split())
