"""``optlab run``: the document it prints, the codes it ends with, the same numbers each time, and
an orderly end on Ctrl-C.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import optlab
from optlab.catalogue.instruments.conditioning import Conditioning
from optlab.cli import progress
from optlab.cli.app import main
from optlab.core import paths
from optlab.experiment import Experiment
from optlab.runners import JobHandle
from optlab.store import RunRecord, Store
from optlab.training.events import Event, SessionFailed

FACTS = {
    "recorded",
    "recording_error",
    "run",
    "title",
    "status",
    "reason",
    "broken",
    "device",
    "runner",
    "ranks",
    "step_mode",
    "step_mode_reason",
    "parameters",
}
KEYS = FACTS | {
    "switched_off",
    "steps",
    "seconds",
    "steps_per_second",
    "final",
    "confusion",
    "theta_sha256",
}
FINAL = {
    "train_loss",
    "validation_loss",
    "train_error",
    "validation_error",
    "test_loss",
    "test_error",
    "gradient_norm",
    "gradient_norm_at_start",
}
ENDLESS = ["run", "iris-softmax", "--steps", "1000000000"]


def document(
    arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0
) -> dict[str, Any]:
    assert main(["run", *arguments, "--json"]) == code
    output = capsys.readouterr()
    assert output.err == ""
    assert "NaN" not in output.out and "Infinity" not in output.out
    found: dict[str, Any] = json.loads(output.out)
    assert set(found) == KEYS and set(found["final"]) >= FINAL
    return found


def stored() -> list[RunRecord]:
    with Store.open_readonly() as store:
        return store.runs()


def test_that_a_finished_run_is_reported_in_full_and_stored(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = signal.getsignal(signal.SIGINT)
    reported = document(["iris-softmax", "--steps", "20", "--set", "title=Mine"], capsys)
    assert signal.getsignal(signal.SIGINT) is before
    assert (reported["status"], reported["steps"], reported["title"], reported["device"]) == (
        "finished",
        20,
        "Mine",
        "cpu",
    )
    assert reported["runner"] in ("thread", "process") and reported["parameters"] == 4 * 3 + 3
    assert reported["broken"] is None and "20 steps" in reported["reason"]
    assert all(isinstance(value, float) for value in reported["final"].values())
    assert reported["steps_per_second"] == pytest.approx(20 / reported["seconds"])
    (record,) = stored()
    assert record.id == reported["run"] and record.theta_sha256 == reported["theta_sha256"]
    assert record.final == reported["final"] and record.status == "finished"


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_that_a_run_reports_how_its_steps_were_taken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, runner: str
) -> None:
    words = ["iris-softmax", "--steps", "100", "--no-store", "--runner", runner]
    recorded = document(words, capsys)
    assert (recorded["step_mode"], recorded["step_mode_reason"]) == ("recorded", None)
    delayed = document([*words, "--set", "delay.name=fixed"], capsys)
    reason = "gradients are delayed"
    assert (delayed["step_mode"], delayed["step_mode_reason"]) == ("ordinary", reason)
    assert main(["run", *words]) == 0
    assert f", cpu, {runner}, recorded steps\n" in capsys.readouterr().out

    monkeypatch.setenv("CXX", "no-such-compiler")
    without = document([*words, "--set", "compiled=true"], capsys)
    assert (without["step_mode"], without["theta_sha256"]) == ("recorded", recorded["theta_sha256"])
    assert without["step_mode_reason"] == "there is no C++ compiler on this machine"
    assert main(["run", *words, "--set", "compiled=true"]) == 0
    assert "steps are not compiled: there is no C++ compiler" in capsys.readouterr().err


@pytest.mark.parametrize(
    "kept",
    [[], ["averaging.name=polyak", "stopping.name=early", "stopping.patience=500"]],
    ids=["plain", "averaged"],
)
@pytest.mark.parametrize("mode", ["recorded", "compiled"])
def test_that_a_run_is_repeated_and_forked_bit_for_bit(
    capsys: pytest.CaptureFixture[str], mode: str, kept: list[str]
) -> None:
    words = ["iris-softmax", "--steps", "90", "--set", f"compiled={mode == 'compiled'}"]
    words += [word for value in kept for word in ("--set", value)]
    first = document(words, capsys)
    assert (first["step_mode"], first["step_mode_reason"]) == (mode, None)
    again = document([*words, "--runner", "process"], capsys)
    assert main(["fork", first["run"], "--at", "37", "--json"]) == 0
    fork = json.loads(capsys.readouterr().out)
    assert again["step_mode"] == fork["step_mode"] == mode
    assert first["theta_sha256"] == again["theta_sha256"] == fork["theta_sha256"]
    assert first["final"] == again["final"] == fork["final"]
    averaged = {name for name in first["final"] if name.startswith("average")}
    assert bool(averaged) == bool(kept)


def test_that_a_stored_run_keeps_the_wish_for_compiled_steps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reported = document(["iris-softmax", "--steps", "30", "--set", "compiled=yes"], capsys)
    assert main(["fork", reported["run"], "--at", "20", "--steps", "40", "--json"]) == 0
    fork = json.loads(capsys.readouterr().out)
    records = stored()
    assert {record.id for record in records} == {reported["run"], fork["run"]}
    for record in records:
        assert "\ncompiled = true\n" in record.experiment
        assert Experiment.from_toml(record.experiment).general.compiled


def test_that_what_has_no_meaning_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    reported = document(
        ["diabetes-linear", "--steps", "5", "--set", "dataset.validation=0", "--no-store"], capsys
    )
    assert reported["run"] is None
    assert {name for name, value in reported["final"].items() if value is None} == {
        "validation_loss",
        "train_error",
        "validation_error",
        "test_error",
    }
    assert not paths.home().exists(), "--no-store writes nothing"


def test_that_a_diverged_run_ends_with_code_1_and_says_what_broke(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reported = document(["diverges"], capsys, code=1)
    assert reported["status"] == "diverged" and reported["broken"] and reported["steps"] < 5000
    assert reported["broken"] in reported["reason"]
    assert stored()[0].status == "diverged"


@pytest.mark.expects_log("failed: The device is on fire")
def test_that_a_failed_run_ends_with_code_1_and_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: object) -> Iterator[Event]:
        yield SessionFailed("The device is on fire.", "a traceback")

    monkeypatch.setattr("optlab.training.session.session", failing)
    reported = document(["iris-softmax", "--runner", "thread"], capsys, code=1)
    assert (reported["status"], reported["reason"], reported["theta_sha256"]) == (
        "failed",
        "The device is on fire.",
        None,
    )
    assert main(["run", "iris-softmax", "--runner", "thread"]) == 1
    output = capsys.readouterr()
    assert output.err == "The device is on fire.\n"
    assert [record.status for record in stored()] == ["failed", "failed"]


def test_that_the_same_experiment_gives_the_same_weights_in_a_thread_and_in_a_process(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["digits-mlp", "--steps", "60", "--no-store"]
    first = document([*arguments, "--runner", "thread"], capsys)
    again = document([*arguments, "--runner", "thread"], capsys)
    apart = document([*arguments, "--runner", "process"], capsys)
    assert (first["runner"], apart["runner"]) == ("thread", "process")
    assert first["theta_sha256"] == again["theta_sha256"] == apart["theta_sha256"]
    assert first["final"] == apart["final"]
    other = document([*arguments, "--seed", "1"], capsys)
    assert other["theta_sha256"] != first["theta_sha256"]


def test_that_options_are_what_they_stand_for(capsys: pytest.CaptureFixture[str]) -> None:
    document(
        [
            "iris-softmax",
            "--steps",
            "7",
            "--seed",
            "3",
            "--device",
            "cpu",
            "--set",
            "optimizer.name=adam",
            "--set",
            "optimizer.beta1=0.5",
        ],
        capsys,
    )
    experiment = Experiment.from_toml(stored()[0].experiment)
    assert (experiment.budget.steps, experiment.general.seed, experiment.general.device) == (
        7,
        3,
        "cpu",
    )
    assert experiment.optimizer.values()["beta1"] == 0.5 and experiment.optimizer.name == "adam"


def test_that_a_file_is_run_even_if_a_preset_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        (paths.presets() / "iris-softmax.toml")
        .read_text(encoding="utf-8")
        .replace('title = "', 'title = "Own ')
    )
    (tmp_path / "iris-softmax").write_text(text, encoding="utf-8")
    assert document(["iris-softmax", "--steps", "2", "--no-store"], capsys)["title"].startswith(
        "Own "
    )
    assert document([str(tmp_path / "iris-softmax"), "--steps", "2", "--no-store"], capsys)[
        "title"
    ].startswith("Own ")


def test_that_data_that_cannot_be_had_is_refused_before_anything_is_stored(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = [
        "--set",
        "dataset.size=10",
        "--set",
        "dataset.validation=0.09",
        "--set",
        "dataset.test=0.9",
    ]
    assert main(["run", "moons-mlp", *changes]) == 2
    assert "training" in capsys.readouterr().err
    assert not paths.home().exists()


def test_that_people_get_the_result_in_words_and_the_course_beside_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "iris-softmax", "--steps", "40"]) == 0
    output = capsys.readouterr()
    run = stored()[0]
    assert "finished" in output.out and run.id in output.out and run.theta_sha256 in output.out
    assert (
        "0-1 error" in output.out
        and "full gradient norm" in output.out
        and "test loss" in output.out
    )
    assert (
        "of what it was at the start: the run is" in output.out or "is inconclusive" in output.out
    )
    lines = output.err.splitlines()
    assert "15 parameters, 40 steps" in lines[0]
    assert 2 <= len(lines) <= 1 + progress.LINES
    assert (
        "step 40 of 40" in lines[-1] and "validation error" in lines[-1] and "steps/s" in lines[-1]
    )


def test_that_a_terminal_gets_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = Experiment.load(paths.presets() / "iris-softmax.toml")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(progress.view(experiment, silent=True), progress.Silence)
    bar = progress.view(experiment, silent=False)
    assert isinstance(bar, progress.Bar)
    bar.close()
    assert main(["run", "iris-softmax", "--steps", "300", "--no-store"]) == 0
    output = capsys.readouterr()
    assert "15 parameters" in output.err
    assert "finished" in output.out and "\x1b" not in output.out


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A run in a process of its own, and the first line it says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "optlab", *arguments],
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
        yield process, process.stderr.readline()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("runner", [pytest.param("thread", marks=pytest.mark.soak), "process"])
def test_that_ctrl_c_stops_a_run_in_order_and_resume_goes_on_with_it(
    runner: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with running("run", "iris-softmax", "--steps", "50000", "--runner", runner) as (process, first):
        assert "parameters" in first
        assert process.stderr is not None
        assert "step " in process.stderr.readline()  # a tenth of the way
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in out + err
    (record,) = stored()
    assert record.status == "stopped" and 5000 <= record.steps < 50000
    assert f"optlab run --resume {record.id}" in out
    with running("run", "--resume", record.id) as (process, first):
        assert f"from step {record.steps:,}" in first
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    (again,) = stored()
    assert again.id == record.id and again.status == "stopped" and again.steps >= record.steps


def test_that_what_is_over_cannot_be_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    run = document(["iris-softmax", "--steps", "3"], capsys)["run"]
    assert main(["run", "--resume", run]) == 2
    said = capsys.readouterr().err
    assert run in said and "finished" in said and said.count("\n") == 1


def test_that_a_second_ctrl_c_gives_the_run_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled: list[bool] = []
    before = signal.getsignal(signal.SIGINT)
    drain, cancel = JobHandle.drain, JobHandle.cancel

    def interrupting(owner: JobHandle) -> list[Event]:
        signal.raise_signal(signal.SIGINT)
        # The session does not hear of a stop that was only asked for; what ends it is the cancel.
        return drain(owner)

    def noticing(owner: JobHandle) -> None:
        cancelled.append(owner.alive)
        cancel(owner)

    monkeypatch.setattr(JobHandle, "send", lambda owner, message: None)
    monkeypatch.setattr(
        JobHandle, "drain", lambda owner: interrupting(owner) if not cancelled else drain(owner)
    )
    monkeypatch.setattr(JobHandle, "cancel", noticing)
    assert main([*ENDLESS, "--runner", "thread", "--json"]) == 130
    assert cancelled[0] is True
    assert json.loads(capsys.readouterr().out)["status"] == "stopped"
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("json_wanted", [True, False])
def test_that_a_failing_instrument_is_said_on_standard_error_and_in_the_document(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, json_wanted: bool
) -> None:
    def read(self: Conditioning, context: Any, memory: Any) -> Any:
        raise RuntimeError("the matrix is singular")

    monkeypatch.setattr(Conditioning, "read", read)
    words = ["run", "iris-softmax", "--steps", "20", "--instrument", "conditioning:5"]
    code = main([*words, "--runner", "thread", *(["--json"] if json_wanted else [])])
    output = capsys.readouterr()
    reason = (
        "The instrument “Conditioning” switched itself off: its reading failed with RuntimeError: "
        "the matrix is singular. The training is not affected."
    )
    assert code == 0
    assert f"step 5: {reason}\n" in output.err
    if json_wanted:
        assert json.loads(output.out)["switched_off"] == {"conditioning": reason}


def test_that_measure_names_an_instrument_that_fails_and_shows_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(self: Conditioning, context: Any, memory: Any) -> Any:
        raise RuntimeError("the matrix is singular")

    monkeypatch.setattr(Conditioning, "read", read)
    words = ["measure", "iris-softmax", "--instruments", "conditioning,update_ratio", "--json"]
    assert main([*words, "--steps", "2"]) == 1
    output = capsys.readouterr()
    document = json.loads(output.out)
    assert "the matrix is singular" in document["failures"]["conditioning"]
    assert list(document["instruments"]) == ["update_ratio"]
    assert "the matrix is singular" in output.err
