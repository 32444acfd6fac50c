"""``optlab measure`` and ``optlab run --instrument``: what instruments find, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from optlab.cli.app import main
from optlab.core import registry
from optlab.experiment import Experiment
from optlab.store import Store
from optlab.store.export.table import tabulate

FILE = """
precision = "float64"
[dataset]
name = "moons"
size = 120
[model]
name = "mlp"
hidden = [5]
[optimizer]
name = "sgd"
lr = 0.1
[budget]
steps = 40
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "asked.toml"
    path.write_text(FILE, encoding="utf-8")
    return str(path)


def document(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    assert main([*arguments, "--json"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return json.loads(output.out)


def test_that_measure_takes_the_usual_instruments_of_the_start(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(["measure", file], capsys)
    usual = [one.name for one in registry.components("instrument") if one.usual]  # type: ignore[attr-defined]
    assert list(found["instruments"]) == usual
    assert (found["step"], found["ended"]) == (0, None)
    for name, one in found["instruments"].items():
        assert one["readings"] == 1
        assert all(series["steps"] == [0] for series in one["series"].values()), name


def test_that_measure_follows_schedules_and_ends_with_a_look_at_all(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "measure",
        file,
        "--instruments",
        "conditioning:10,spectrum,gradient_noise:7",
        "--set",
        "instruments.spectrum.top=2",
        "--steps",
        "25",
    ]
    found = document(asked, capsys)["instruments"]
    assert list(found) == ["conditioning", "gradient_noise", "spectrum"]
    assert found["conditioning"]["series"]["ghg"]["steps"] == [10, 20, 25]
    assert found["gradient_noise"]["series"]["norms"]["columns"][2] == "median"
    assert found["spectrum"]["series"]["top"]["columns"] == ["λ1", "λ2"]
    first, second = found["spectrum"]["series"]["top"]["values"][0]
    assert first > second
    assert sum(found["gradient_noise"]["picture"]["counts"]) == 32
    assert found["conditioning"]["plain_steps"] > 0.0
    assert found["gradient_noise"]["series"]["norms"]["steps"] == [7, 14, 21, 25]


def test_that_measure_in_words_names_every_quantity(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", file, "--instruments", "all", "--steps", "3"]) == 0
    words = capsys.readouterr().out
    assert "Conditioning: 1 readings" in words and "gᵀHg" in words
    assert "Gradient norm by tensor: layers.1.bias" in words
    assert "Clipped" not in words, "nothing is clipped, so there is nothing to tell"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--instruments", "spectrun"],
            "No instrument is called 'spectrun' (did you mean spectrum?)",
        ),
        (
            ["--instruments", "conditioning:x"],
            "instruments.conditioning.every is 'x', but it must be a whole number at least 0",
        ),
        (
            ["--instruments", "time_gradient"],
            "The instrument time_gradient cannot be switched on: it needs sequences",
        ),
        (["--steps", "-1"], "--steps is -1, but it must be 0 or more."),
        (
            ["--set", "instruments.conditioning=maybe"],
            "instruments.conditioning is 'maybe', but it must be on or off",
        ),
        (
            ["--set", "instruments.conditioning.often=3"],
            "instruments.conditioning.often is not a field of instruments.conditioning",
        ),
    ],
)
def test_that_what_is_wrong_is_one_sentence(
    file: str, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", file, *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 1
    assert sentence in output.err


def test_that_a_run_with_instruments_is_stored_with_their_series_and_can_be_measured_on(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPTLAB_HOME", str(tmp_path / "home"))
    asked = ["run", file, "--runner", "thread"]
    plain = document(asked, capsys)
    run = document(
        [*asked, "--instrument", "gradients_by_layer:8", "--instrument", "conditioning"], capsys
    )
    assert run["theta_sha256"] == plain["theta_sha256"]
    with Store.open_readonly() as store:
        record = store.run(run["run"])
        stored = store.series(record.id)
    experiment = Experiment.from_toml(record.experiment)
    assert [(one.name, one.every) for one in experiment.instruments] == [
        ("conditioning", 100),
        ("gradients_by_layer", 8),
    ]
    norm = stored["gradients_by_layer.norm"]
    assert norm.steps.tolist() == [8, 16, 24, 32, 40]
    assert norm.columns == tuple(spec.name for spec in experiment.layout().parameters)
    names = [column.name for column in tabulate(stored, {}).columns]
    assert (
        "gradients_by_layer.norm.layers.0.weight" in names
        and "gradients_by_layer.std.layers.0.weight" in names
    )

    found = document(["measure", run["run"], "--instruments", "excess_error"], capsys)
    assert found["step"] == 40
    assert found["instruments"]["excess_error"]["series"]["objective"]["values"][
        -1
    ] == pytest.approx(run["final"]["train_loss"])
    further = document(
        ["measure", run["run"], "--instruments", "distance:2", "--steps", "4"], capsys
    )
    assert further["instruments"]["distance"]["series"]["length"]["steps"] == [42, 44]
    assert main(["measure", run["run"], "--set", "optimizer.lr=3"]) == 2
    assert "only instruments can be set" in capsys.readouterr().err
