"""``optlab measure RUN --test``: the test part on demand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from optlab.cli.app import main
from optlab.cli.test_part import say_confusion
from optlab.experiment import Experiment
from optlab.store import Store
from optlab.tasks.subject import stored


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTLAB_HOME", str(tmp_path / "home"))


def document(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_that_the_test_part_of_a_stored_run_is_evaluated_at_its_weights(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = document(capsys, "run", "iris-softmax", "--steps", "30")
    found = document(capsys, "measure", run["run"], "--test")
    assert found["values"] == {
        name: run["final"][name]
        for name in run["final"]
        if name.startswith(("test_", "train_", "validation_"))
    }
    assert found["confusion"] == run["confusion"] and found["step"] == 30
    assert found["classes"] == ["setosa", "versicolor", "virginica"]
    # Independently, from the stored weights.
    subject = stored(run["run"])
    with Store.open_readonly() as store:
        data = Experiment.from_toml(store.run(run["run"]).experiment).dataset.load()
    x, y = torch.from_numpy(data.test.x), data.test.y
    outputs = subject.objective.outputs(subject.theta, x.double().unsqueeze(0))[0]
    matrix = np.zeros((3, 3), dtype=int)
    np.add.at(matrix, (y, outputs.argmax(1).numpy()), 1)
    assert found["confusion"] == matrix.tolist() and found["examples"] == matrix.sum() == 30
    assert main(["measure", run["run"], "--test"]) == 0
    said = capsys.readouterr().out
    assert "versicolor" in said and "against validation" in said


def test_that_regression_has_r2_and_no_confusion_matrix(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = document(capsys, "run", "diabetes-linear", "--steps", "50")
    assert run["confusion"] is None and 0.0 < run["final"]["test_r2"] < 1.0
    found = document(capsys, "measure", run["run"], "--test")
    assert found["confusion"] == [] and found["classes"] == []
    assert found["values"]["test_mean_absolute_error"] > 0.0
    assert main(["measure", run["run"], "--test"]) == 0
    assert "R²" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["measure", "iris-softmax", "--test"], "needs a stored run"),
        (["measure", "iris-softmax", "--test", "--steps", "3"], "cannot be combined with it"),
        (["measure", "no-such", "--test"], "no run"),
    ],
)
def test_that_anything_but_a_stored_run_is_refused(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert sentence in capsys.readouterr().err


def test_that_a_run_without_a_test_part_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    run = document(capsys, "run", "iris-softmax", "--steps", "3", "--set", "dataset.test=0")
    assert run["final"]["test_loss"] is None and "test_minus_train" not in run["final"]
    assert main(["measure", run["run"], "--test"]) == 2
    assert "dataset.test" in capsys.readouterr().err


def test_that_many_classes_are_shown_by_their_most_frequent_confusions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    matrix = np.diag(np.full(20, 5))
    matrix[3, 7], matrix[7, 3] = 4, 9
    say_confusion(matrix.tolist(), [f"class {number}" for number in range(20)])
    lines = capsys.readouterr().out.splitlines()
    assert "113 examples" in lines[0]
    assert [line.split()[-1] for line in lines if line.startswith("class")] == ["9", "4"]
    say_confusion(np.diag(np.full(20, 5)).tolist(), [str(number) for number in range(20)])
    assert "no class is confused" in capsys.readouterr().out
