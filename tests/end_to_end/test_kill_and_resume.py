"""kill -9 of a program that trains: nothing that was committed is lost, nothing lives on, and the
run ends as if nothing had happened.
"""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from optlab.experiment import Experiment
from optlab.runners import resume, train
from optlab.store import Store, StoredSeries
from optlab.training.events import SECONDS, RunEnded

_PROGRAM = Path(__file__).with_name("train_in_background.py")


def _program():
    spec = importlib.util.spec_from_file_location("train_in_background", _PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _end(owner) -> RunEnded:
    received = []
    while owner.wait(60) and (events := owner.drain()):
        received += events
    assert owner.join(60)
    return next(event for event in received if isinstance(event, RunEnded))


@pytest.fixture(scope="module")
def never_killed(tmp_path_factory) -> tuple[RunEnded, dict[str, StoredSeries]]:
    home = tmp_path_factory.mktemp("never-killed")
    program = _program()
    owner = train(
        [Experiment.from_dict(program.EXPERIMENT)], store=home, runner="thread", log=program.LOG
    )
    ended = _end(owner)
    with Store.open(home) as store:
        return ended, store.series(owner.run_ids[0])


def _killed(home: Path, runner: str, past: int, run: str | None = None) -> tuple[str, int]:
    """Run the program, kill it once it is past a step; the run and the steps that a reader saw
    committed before.
    """
    command = [sys.executable, str(_PROGRAM), str(home), runner, *([run] if run else [])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as program:
        assert program.stdout is not None
        run = program.stdout.readline().strip()
        assert run
        for line in program.stdout:
            if int(line) >= past:
                break
        else:
            pytest.fail("the program ended before it was killed")
        with Store.open_readonly(home) as store:
            seen = len(store.series(run)["batch_loss"].steps)
        family = psutil.Process(program.pid).children(recursive=True)
        assert any("spawn_main" in " ".join(child.cmdline()) for child in family) == (
            runner == "process"
        )
        program.kill()
        program.wait()
    # No worker outlives its parent.
    assert not psutil.wait_procs(family, timeout=20)[1]
    return run, seen


@pytest.mark.parametrize("runner", [pytest.param("thread", marks=pytest.mark.soak), "process"])
def test_that_a_killed_run_keeps_what_was_committed_and_ends_as_if_never_killed(
    tmp_path, never_killed, runner
):
    ended, expected = never_killed
    chance = random.Random()
    moments = [chance.randint(1500, 3000), chance.randint(3500, 5000)]
    print("killed past steps", moments)
    run = None
    for past in moments:
        run, seen = _killed(tmp_path, runner, past, run)
        with Store.open(tmp_path) as store:
            record = store.run(run)
            assert record.status == "interrupted" and record.resumable
            stored = store.series(run)
            assert len(stored["batch_loss"].steps) >= seen > 0
            for name, series in stored.items():
                np.testing.assert_array_equal(
                    series.steps, expected[name].steps[: len(series.steps)]
                )
                if name != SECONDS:
                    np.testing.assert_array_equal(
                        series.values, expected[name].values[: len(series.steps)]
                    )
            assert store.controls(run) == [(step, message) for step, message in _program().LOG]
    finished = _end(resume([run], store=tmp_path, runner="thread"))
    assert finished.theta_sha256 == ended.theta_sha256 and finished.final == ended.final
    with Store.open(tmp_path) as store:
        stored = store.series(run)
        assert store.run(run).status == "finished"
        for name, series in expected.items():
            np.testing.assert_array_equal(stored[name].steps, series.steps)
            if name != SECONDS:
                np.testing.assert_array_equal(stored[name].values, series.values)
        assert store.controls(run) == [(step, message) for step, message in _program().LOG]


_IDLE = """
from optlab.runners.worker import Worker
worker = Worker()
print(worker.pid, flush=True)
input()
"""


def test_that_an_idle_worker_ends_when_its_parent_is_killed():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", _IDLE]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as program:
        assert program.stdout is not None
        worker = psutil.Process(int(program.stdout.readline()))
        program.kill()
        program.wait()
    assert not psutil.wait_procs([worker], timeout=20)[1]
