"""``optlab run`` on a disk that is full, and on one that cannot be written to any more."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from optlab.cli.app import main
from optlab.store import Store, persistence, snapshots
from optlab.store.writer import RunWriter

_SPEC = importlib.util.spec_from_file_location(
    "small_disk", Path(__file__).parents[1] / "small_disk.py"
)
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)

STEPS = 10_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[object]:
    with _MODULE.small_disk(tmp_path / "disk") as found:
        yield found


@contextmanager
def _program(home: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    environment = {
        **os.environ,
        "OPTLAB_HOME": str(home),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [
        sys.executable,
        "-m",
        "optlab",
        "run",
        "iris-softmax",
        "--steps",
        str(STEPS),
        "--json",
        *options,
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as program:
        try:
            yield program
        finally:
            # A test that fails must not leave a program that uses the disk.
            program.kill()


@pytest.mark.parametrize("runner", [pytest.param("thread", marks=pytest.mark.soak), "process"])
def test_that_a_run_waits_on_a_full_disk_and_completes_once_there_is_room(disk, runner):
    disk.fill(left=1 << 20)
    with _program(disk.path / "home", "--runner", runner) as program:
        first = program.stderr.readline()
        assert "is full: the run waits" in first
        disk.make_room()
        output, errors = program.communicate(timeout=60)
    assert program.returncode == 0, errors
    document = json.loads(output)
    assert (document["status"], document["recorded"], document["recording_error"]) == (
        "finished",
        True,
        None,
    )
    assert "There is room on the disk again" in errors and len(errors.splitlines()) == 1
    with Store.open(disk.path / "home") as store:
        (record,) = store.runs()
        assert (record.status, record.steps) == ("finished", STEPS)
        for series in ("batch_loss", "weights", "learning_rate"):
            np.testing.assert_array_equal(
                store.series(record.id)[series].steps, np.arange(1, STEPS + 1)
            )
        assert store.latest_snapshot(record.id).step == STEPS


def test_that_ctrl_c_ends_a_run_that_waits_for_room_and_says_that_it_is_incomplete(disk):
    disk.fill(left=1 << 20)
    with _program(disk.path / "home") as program:
        assert "is full: the run waits" in program.stderr.readline()
        program.send_signal(signal.SIGINT)
        output, errors = program.communicate(timeout=60)
    assert program.returncode == 130
    document = json.loads(output)
    assert document["recorded"] is False and "the disk is full" in document["recording_error"]
    assert document["recording_error"] in errors
    disk.make_room()
    with Store.open(disk.path / "home") as store:
        (record,) = store.runs()
        assert record.status == "interrupted"
        stored = store.series(record.id)["batch_loss"].steps
        np.testing.assert_array_equal(stored, np.arange(1, record.steps + 1))
        assert 0 < record.steps < document["steps"] <= STEPS


@pytest.fixture
def broken_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """No snapshot can be written but the first."""
    write = snapshots.write

    def failing(home, run, snapshot, taken):
        if snapshot.step:
            raise OSError(5, "Input/output error")
        return write(home, run, snapshot, taken)

    monkeypatch.setattr(persistence, "PAUSES", (0.0,))
    monkeypatch.setattr(snapshots, "write", failing)


@pytest.mark.expects_log("recording of .* failed")
def test_that_a_run_that_is_not_recorded_to_its_end_fails_and_says_so(capsys, broken_snapshots):
    assert main(["run", "iris-softmax", "--steps", "400", "--json"]) == 1
    output = capsys.readouterr()
    document = json.loads(output.out)
    assert (document["status"], document["steps"], document["recorded"]) == ("finished", 400, False)
    assert "not recorded" in document["recording_error"]
    assert output.err == document["recording_error"] + "\n"
    assert main(["runs", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["status"] == "interrupted" and record["reason"] == document["recording_error"]
    assert main(["run", "iris-softmax", "--steps", "400"]) == 1
    output = capsys.readouterr()
    assert (
        "(only in part)" in output.out and "--resume" in output.out and "not recorded" in output.err
    )


@pytest.mark.expects_log("recording of .* failed")
def test_that_a_race_that_is_not_recorded_to_its_end_fails_and_says_so(capsys, broken_snapshots):
    assert (
        main(["race", "iris-softmax", "--optimizers", "sgd,adam", "--steps", "50", "--json"]) == 1
    )
    document = json.loads(capsys.readouterr().out)
    assert [run["recorded"] for run in document["runs"]] == [False, False]
    assert main(["race", "iris-softmax", "--optimizers", "sgd,adam", "--steps", "50"]) == 1
    assert capsys.readouterr().out.count("(only in part)") == 2


@pytest.mark.expects_log("recording of .* failed")
def test_that_a_run_of_a_population_that_ended_before_the_fault_counts_as_recorded(
    capsys, monkeypatch
):
    monkeypatch.setattr(persistence, "PAUSES", ())
    take = RunWriter._run_ended

    def failing(writer, line, event):
        if event.run == 1:
            raise OSError(5, "Input/output error")
        take(writer, line, event)

    monkeypatch.setattr(RunWriter, "_run_ended", failing)
    assert (
        main(["race", "iris-softmax", "--optimizers", "sgd,adam", "--steps", "50", "--json"]) == 1
    )
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert sorted(run["recorded"] for run in runs) == [False, True]
    with Store.open() as store:
        statuses = {record.id: record.status for record in store.runs()}
    assert all(
        statuses[run["run"]] == ("finished" if run["recorded"] else "interrupted") for run in runs
    )


def test_that_a_run_that_cannot_be_begun_is_not_recorded(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OPTLAB_HOME", str(tmp_path / "file" / "home"))
    assert main(["run", "iris-softmax", "--steps", "5", "--json"]) == 1
    output = capsys.readouterr()
    assert json.loads(output.out)["recorded"] is False and "OPTLAB_HOME" in output.err


def test_that_a_run_that_is_not_to_be_stored_says_neither(capsys):
    assert main(["run", "iris-softmax", "--steps", "5", "--no-store", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recorded"] is None
