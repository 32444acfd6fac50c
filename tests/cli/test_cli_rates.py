"""``optlab range``, ``start`` and ``race``: what they print, and that a race is fair."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.cli.app import main
from optlab.cli.text_plot import HEIGHT, WIDTH, plot
from optlab.core import paths
from optlab.experiment import Experiment
from optlab.store import Store


def document(
    arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0
) -> dict[str, Any]:
    assert main([*arguments, "--json"]) == code
    output = capsys.readouterr()
    assert output.err == "" and "NaN" not in output.out and "Infinity" not in output.out
    found: dict[str, Any] = json.loads(output.out)
    return found


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert not paths.home().exists()
    return said.err


# --- range -----------------------------------------------------------------------------------------------------------------------


def test_that_range_advises_a_rate_that_can_be_set_and_stores_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reported = document(
        ["range", "iris-softmax", "--steps", "120", "--short-runs", "5", "--short-steps", "60"],
        capsys,
    )
    test, short, advice = reported["range_test"], reported["short_runs"], reported["advice"]
    assert len(test["rates"]) == len(test["losses"]) == len(test["smoothed"]) <= 120
    assert test["rates"] == sorted(test["rates"]) and test["rates"][0] == 1e-6
    assert short["steps"] == 60 and short["best"] in [run["rate"] for run in short["runs"]]
    assert (
        advice["optimizer.lr"] >= float(f"{short['best']:.3g}") and advice["schedule.last"] == 0.01
    )
    changes = [word for path, value in advice.items() for word in ("--set", f"{path}={value}")]
    assert not paths.home().exists()
    run = document(["run", "iris-softmax", *changes, "--no-store"], capsys)
    assert run["status"] == "finished" and run["final"]["train_loss"] < 0.5 * short["initial_loss"]


def test_that_range_shows_people_a_plot_a_table_and_the_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (
        main(["range", "iris-softmax", "--steps", "60", "--short-runs", "3", "--short-steps", "20"])
        == 0
    )
    output = capsys.readouterr()
    assert output.err == ""
    assert "*" in output.out and "steepest" in output.out and "advised" in output.out
    assert "--set optimizer.lr=" in output.out and "--set schedule.name=linear_decay" in output.out
    assert main(["range", "iris-softmax", "--steps", "60", "--short-runs", "0"]) == 0
    assert "--set" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["range", "lbfgs-digits"], "no learning rate"),
        (["range", "iris-softmax", "--from", "1", "--to", "0.1"], "at least as large"),
        (["range", "iris-softmax", "--short-runs", "1"], "--short-runs"),
        (["range", "iris-sotfmax"], "iris-softmax"),
        (["start", "iris-softmax", "--compare", "he"], "two initializers"),
        (["start", "iris-softmax", "--compare", "he,hi"], "initializer.name"),
        (["race", "iris-softmax"], "two runs"),
        (["race", "iris-softmax", "--set", "optimizer.lr=0.1,x"], "optimizer.lr"),
        (["race", "iris-softmax", "--optimizers", "sgd,adma"], "adam"),
        (["race", "digits-mlp", "--set", "model.activation=relu,tanh"], "[model]"),
        (["race", "digits-mlp", "--set", "batches.size=16,32"], "batches.size"),
        (["race", "iris-softmax", "--set", "seed=" + ",".join(map(str, range(300)))], "256"),
        (["race", "iris-softmax", "--runner", "moon", "--optimizers", "sgd,adam"], "--runner"),
    ],
)
def test_that_what_cannot_be_done_is_refused_in_one_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(arguments, capsys)


def test_that_ctrl_c_ends_a_range_test_without_a_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from optlab.training.trainer import Trainer

    def interrupted(self: Trainer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "advance", interrupted)
    assert main(["range", "iris-softmax"]) == 130
    output = capsys.readouterr()
    assert output.out == "" and output.err.strip() in ("", "Interrupted.")
    assert not paths.home().exists()


def test_that_a_plot_has_its_extremes_in_its_corners() -> None:
    lines = list(
        plot([1e-3, 1e-2, 1e-1, 1.0], [4.0, math.nan, 2.0, 3.0], {"s": 1e-1, "e": 7.0}, log_y=False)
    )
    assert len(lines) == HEIGHT + 3
    body = [line.partition("| ")[2] for line in lines[:HEIGHT]]
    assert body[0] == "*" and body[HEIGHT - 1].index("*") == round((WIDTH - 1) * 2 / 3)
    assert sum(line.count("*") for line in body) == 3
    assert lines[0].lstrip().startswith("4 |") and lines[HEIGHT - 1].lstrip().startswith("2 |")
    assert lines[HEIGHT + 1].strip() == "s" and lines[HEIGHT + 1].index("s") == 12 + round(
        (WIDTH - 1) * 2 / 3
    )
    assert lines[-1].split() == ["0.001", "1"] and len(lines[-1]) == 12 + WIDTH


# --- start -----------------------------------------------------------------------------------------------------------------------


def test_that_start_tells_every_layer(capsys: pytest.CaptureFixture[str]) -> None:
    reported = document(["start", "digits-mlp", "--set", "model.hidden=20,10"], capsys)
    (table,) = reported["starts"]
    assert table["examples"] == 32 and [w["shape"] for w in table["weights"]][:2] == [
        [20, 64],
        [20],
    ]
    assert {a["name"] for a in table["activations"]} == {
        "layers.0",
        "layers.0.relu",
        "layers.1",
        "layers.1.relu",
        "layers.2",
    }
    assert all(0.0 <= a["dead"] <= 1.0 for a in table["activations"])
    assert main(["start", "digits-mlp", "--set", "model.hidden=20,10"]) == 0
    said = capsys.readouterr().out
    assert all(
        word in said
        for word in (
            "Weights",
            "Activations",
            "Gradients",
            "layers.1.relu",
            f"{table['gradients'][0]['std']:.3g}",
        )
    )
    assert not paths.home().exists()


def test_that_start_compares_initializers_column_by_column(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["start", "digits-mlp", "--compare", "he,orthogonal,zero,he"]
    reported = document(arguments, capsys)
    assert [table["initializer"] for table in reported["starts"]] == ["he", "orthogonal", "zero"]
    alone = document(["start", "digits-mlp", "--set", "initializer.name=orthogonal"], capsys)
    assert reported["starts"][1] == alone["starts"][0]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    row = next(line for line in said.splitlines() if line.startswith("layers.0.weight"))
    assert all(f"{table['weights'][0]['std']:.3g} [" in row for table in reported["starts"])


# --- race ------------------------------------------------------------------------------------------------------------------------

# With weight decay: without it the weights of separable data run off, and a line search makes six
# digits out of the last one.
FAST = ["--steps", "40", "--set", "precision=float64", "--set", "loss.l2=0.01"]


def test_that_every_run_of_a_race_gives_the_numbers_of_the_run_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reported = document(
        ["race", "iris-softmax", "--optimizers", "momentum,adam,lbfgs", "--seed", "3,4", *FAST],
        capsys,
    )
    assert len(reported["runs"]) == 6
    losses = [run["final"]["train_loss"] for run in reported["runs"]]
    assert losses == sorted(losses)
    with Store.open_readonly() as store:
        assert len(store.runs()) == 6
        for run in reported["runs"]:
            changes = [
                word
                for path, value in run["differs"].items()
                for word in ("--set", f"{path}={value}")
            ]
            record = store.run(run["run"])
            assert record.theta_sha256 == run["theta_sha256"] and record.title == run["title"]
            own = Experiment.from_toml(record.experiment)
            assert (own.optimizer.name, str(own.general.seed)) == (
                run["differs"]["optimizer.name"],
                run["differs"]["seed"],
            )
            if (
                own.optimizer.name
                == Experiment.load(paths.presets() / "iris-softmax.toml").optimizer.name
            ):
                changes = [word for word in changes if "optimizer.name" not in word][1:]
            alone = document(["run", "iris-softmax", *changes, *FAST], capsys)
            mine, its = store.latest_snapshot(run["run"]), store.latest_snapshot(alone["run"])
            assert mine is not None and its is not None and mine.step == its.step == 40
            np.testing.assert_allclose(mine.theta, its.theta, rtol=1e-10, atol=1e-12)
            assert run["final"] == pytest.approx(alone["final"], rel=1e-9)


def test_that_values_race_in_all_combinations_and_one_that_diverges_is_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reported = document(
        [
            *(
                "race",
                "diabetes-linear",
                "--set",
                "optimizer.name=momentum",
                "--set",
                "optimizer.lr=1e30,0.05,0.01",
            ),
            *("--set", "optimizer.momentum=0.5, 0", "--steps", "50", "--no-store"),
        ],
        capsys,
    )
    assert len(reported["runs"]) == 6 and not paths.home().exists()
    assert {tuple(run["differs"].values()) for run in reported["runs"]} == {
        (lr, m) for lr in ("1e30", "0.05", "0.01") for m in ("0.5", "0")
    }
    assert [run["status"] for run in reported["runs"]] == ["finished"] * 4 + ["diverged"] * 2
    assert all(
        run["differs"]["optimizer.lr"] == "1e30" and run["broken"] for run in reported["runs"][4:]
    )
    assert reported["runs"][0]["run"] is None


def test_that_a_comma_belongs_to_the_value_where_the_field_is_a_list(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reported = document(
        [
            "race",
            "digits-mlp",
            "--set",
            "model.hidden=5,4",
            "--optimizers",
            "sgd,adam",
            "--steps",
            "3",
            "--no-store",
        ],
        capsys,
    )
    assert (
        len(reported["runs"]) == 2
        and reported["parameters"] == 64 * 5 + 5 + 5 * 4 + 4 + 4 * 10 + 10
    )


def test_that_a_race_in_which_all_diverge_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    reported = document(
        ["race", "diabetes-linear", "--set", "optimizer.lr=1e30,1e31", "--no-store"], capsys, code=1
    )
    assert [run["status"] for run in reported["runs"]] == ["diverged"] * 2


def test_that_people_get_a_table_by_training_loss(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["race", "iris-softmax", "--set", "optimizer.lr=0.0001,0.1", "--steps", "30"]) == 0
    output = capsys.readouterr()
    first, second = (
        next(place for place, line in enumerate(output.out.splitlines()) if f"lr {rate} " in line)
        for rate in ("0.1", "0.0001")
    )
    assert first < second
    with Store.open_readonly() as store:
        assert all(record.id in output.out and "lr " in record.title for record in store.runs())
    assert "step 30 of 30" in output.err


@pytest.mark.soak
def test_that_ctrl_c_stops_all_runs_of_a_race_in_order() -> None:
    import optlab

    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "optlab",
            "race",
            "iris-softmax",
            "--optimizers",
            "sgd,adam",
            "--steps",
            "50000",
        ],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(optlab.__file__).parent.parent),
            "PYTHONUTF8": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert process.stderr is not None
        process.stderr.readline()
        assert "step " in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130 and "Traceback" not in out + err
    with Store.open_readonly() as store:
        assert {record.status for record in store.runs()} == {"stopped"}
        assert all(record.id in out for record in store.runs())
