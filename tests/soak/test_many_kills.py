"""``kill -9`` of ``optlab run`` and of its worker, many times at random moments: every step that a
reader saw committed survives, and the run ends as if nothing had happened.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from optlab.experiment import Experiment
from optlab.store import Store, StoredSeries
from optlab.training.events import SECONDS
from tests.workers import workers_of

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

STEPS = 4000
KILLS = 5
"""Kills of each run."""
EXPERIMENT = {
    "dataset": {"name": "moons", "size": 200},
    "model": {"name": "mlp", "hidden": [8]},
    "optimizer": {"name": "adam"},
    "instruments": {"conditioning": {"every": 500}},
    "budget": {"steps": STEPS},
}


def _begin(home: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "OPTLAB_HOME": str(home),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-m", "optlab", "run", *arguments, "--json"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def _end(program: subprocess.Popen[str]) -> tuple[int, dict[str, object], str]:
    out, err = program.communicate(timeout=300)
    assert "Traceback" not in err, err
    return program.returncode, json.loads(out), err


def _steps(home: Path) -> tuple[str, int]:
    """The run and its committed steps, as a reader sees them."""
    with Store.open_readonly(home) as store:
        runs = store.runs()
        assert store.hidden == store.notice == ""
        return (runs[0].id, runs[0].steps) if runs else ("", 0)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experiment") / "killed.toml"
    path.write_text(Experiment.from_dict(EXPERIMENT).to_toml(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def never_killed(
    file: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, object], dict[str, StoredSeries]]:
    home = tmp_path_factory.mktemp("never") / "home"
    code, document, _ = _end(_begin(home, str(file), "--runner", "thread"))
    assert code == 0
    with Store.open_readonly(home) as store:
        return document, store.series(str(document["run"]))


def _kill(program: subprocess.Popen[str], home: Path, past: int, victim: str) -> int:
    """Kill the program or its worker once it is past a step; the steps that were committed."""
    seen = 0
    while program.poll() is None and seen < past:
        seen = _steps(home)[1]
        time.sleep(0.01)
    time.sleep(random.random() * 0.1)
    seen = max(seen, _steps(home)[1])
    if program.poll() is not None:
        return seen
    family = psutil.Process(program.pid).children(recursive=True)
    workers = workers_of(program.pid)
    if victim == "app":
        program.kill()
        program.communicate()
        assert not psutil.wait_procs(family, timeout=20)[1], "a worker outlives its parent"
    else:
        for worker in workers:
            worker.kill()
        code, document, _ = _end(program)
        assert document["runner"] == "process"
        if not workers:
            # The run has ended, and so has its worker; the command is about to.
            assert (code, document["status"]) == (0, "finished")
        if document["status"] != "finished":
            assert code == 1 and "worker process was killed" in str(document["reason"])
    return seen


@pytest.mark.parametrize(
    ("runner", "victim"), [("thread", "app"), ("process", "app"), ("process", "worker")]
)
@pytest.mark.parametrize("seed", range(4))
def test_that_many_kills_lose_no_committed_step_and_change_no_number(
    tmp_path, file, never_killed, runner, victim, seed
):
    document, expected = never_killed
    home, chance, run, kills = tmp_path / "home", random.Random(seed), "", 0
    reached = 0
    for _ in range(KILLS):
        arguments = ["--resume", run] if run else [str(file)]
        program = _begin(home, *arguments, "--runner", runner)
        seen = _kill(program, home, reached + chance.randint(1, STEPS // KILLS), victim)
        with Store.open(home) as store:
            (record,) = store.runs()
            run, stored = record.id, store.series(record.id)
            assert store.notice == store.hidden == "" and record.steps >= seen >= reached
            if record.status == "finished":
                break
            kills += 1
            assert record.resumable, record
            steps = stored["batch_loss"].steps if "batch_loss" in stored else np.empty(0)
            np.testing.assert_array_equal(steps, np.arange(1, record.steps + 1))
            for name, series in stored.items():
                count = len(series.steps)
                np.testing.assert_array_equal(series.steps, expected[name].steps[:count])
                if name == SECONDS:
                    assert (np.diff(series.values) > 0.0).all(), "time goes on where it was stored"
                else:
                    np.testing.assert_array_equal(series.values, expected[name].values[:count])
            for kept in store.snapshots(run):
                assert store.load_snapshot(kept).step <= record.steps
        # Not what was seen: of a run that is resumed it would be passed before its worker starts.
        reached = record.steps
    if record.status != "finished":
        code, ended, err = _end(_begin(home, "--resume", run, "--runner", runner))
        assert code == 0, err
        assert ended["theta_sha256"] == document["theta_sha256"]
        assert ended["final"] == document["final"]
    with Store.open_readonly(home) as store:
        assert store.run(run).theta_sha256 == document["theta_sha256"]
        stored = store.series(run)
        assert stored.keys() == expected.keys()
        for name, series in expected.items():
            np.testing.assert_array_equal(stored[name].steps, series.steps)
            if name != SECONDS:
                np.testing.assert_array_equal(stored[name].values, series.values)
    assert not list((home / "snapshots" / run).glob("*.part"))
    print(f"{runner}, kills of the {victim}: {kills}")
