"""No command executes a model of the user's in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from optlab.store import Store
from optlab.store.records import RUNS

pytestmark = pytest.mark.slow

NET = """
import os, torch
LOG = {log!r}

def note():
    with open(LOG, "a") as file:
        file.write(f"{{os.getpid()}}\\n")

note()

class Net(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        note()
        print("by hand")
        if os.path.exists(LOG + ".exit"):
            os._exit(7)
        self.a = torch.nn.Linear(inputs, outputs)

    def forward(self, x):
        note()
        return self.a(x)
"""
OWN = ("iris-softmax", "--set", "model.name=own.net")
RACE = ("race", *OWN, "--set", "optimizer.lr=0.1,0.01", "--steps", "5")
COMMANDS = (
    ("run", *OWN, "--steps", "5"),
    RACE,
    ("spectrum", *OWN, "--steps", "5", "--top", "1", "--bottom", "0"),
    ("slice", *OWN, "--steps", "5", "--points", "5"),
    ("critical", *OWN, "--steps", "5"),
    ("measure", *OWN, "--steps", "5", "--instruments", "conditioning"),
    ("range", *OWN),
    ("start", *OWN),
)
ON_STORED = (
    ("spectrum", "--top", "1", "--bottom", "0"),
    ("slice", "--points", "5"),
    ("measure", "--instruments", "conditioning"),
    ("measure", "--test"),
    ("diagnose",),
    ("export", "--format", "csv", "--to", "series.csv"),
)
WITHOUT = (("list", "models"), ("show", "own.net"), ("model", "list"), ("runs",), ("doctor",))
"""Commands that execute no model at all."""


def _some(commands: tuple[tuple[str, ...], ...], every_day: set[str]) -> list[Any]:
    """The commands as parameters: those that are not for every day are part of ``make soak``."""
    return [
        words if words[0] in every_day else pytest.param(words, marks=pytest.mark.soak)
        for words in commands
    ]


class Home:
    """A data folder with a registered model that notes the process of each execution."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "processes"
        self.folder = folder
        (folder / "net.py").write_text(NET.format(log=str(self.log)), encoding="utf-8")
        done, _ = self.optlab("model", "register", str(folder / "net.py"), "--name", "net", "--yes")
        assert done.returncode == 0, done.stderr

    def optlab(self, *words: str) -> tuple[subprocess.CompletedProcess[str], set[int]]:
        """Execute a command; also return the processes in which the model was executed.

        Its own must not be one of them.
        """
        self.log.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "OPTLAB_HOME": str(self.folder / "home"),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "optlab", *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        out, errors = process.communicate(timeout=110)
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        executed = set(map(int, text.split()))
        assert process.pid not in executed, words
        done = subprocess.CompletedProcess(words, process.returncode, out, errors)
        return done, executed


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("processes"))


@pytest.fixture(scope="module")
def stored(home: Home) -> str:
    done, _ = home.optlab("run", *OWN, "--steps", "5", "--json")
    return str(json.loads(done.stdout)["run"])


@pytest.mark.parametrize("words", _some(COMMANDS, {"run"}), ids=" ".join)
def test_that_a_command_executes_a_model_of_the_users_in_workers_alone(
    home: Home, words: tuple[str, ...]
) -> None:
    done, executed = home.optlab(*words)
    assert done.returncode == 0, done.stderr
    assert executed
    assert "by hand" not in done.stdout and "by hand" in done.stderr


@pytest.mark.parametrize(
    "words",
    [pytest.param(words, marks=pytest.mark.soak) for words in ON_STORED],
    ids=" ".join,
)
def test_that_a_command_on_a_stored_run_executes_its_model_in_workers_alone(
    home: Home, stored: str, words: tuple[str, ...]
) -> None:
    command, *options = words
    done, executed = home.optlab(command, stored, *options)
    assert done.returncode == 0, done.stderr
    assert executed or command in ("export", "diagnose")


def test_that_resuming_a_run_executes_its_model_in_workers_alone(home: Home, stored: str) -> None:
    with Store.open(home.folder / "home") as store:
        store._connection.execute(*RUNS.update(stored, status="stopped"))
        RUNS.write_checksums(store._connection, stored)
    done, executed = home.optlab("run", "--resume", stored)
    assert done.returncode == 0, done.stderr
    assert executed


@pytest.mark.parametrize("words", _some(WITHOUT, {"show", "runs"}), ids=" ".join)
def test_that_a_command_that_only_lists_executes_no_model(
    home: Home, words: tuple[str, ...]
) -> None:
    done, executed = home.optlab(*words)
    assert done.returncode in (0, 1), done.stderr
    assert not executed


def test_that_a_model_that_ends_its_process_ends_a_race_in_a_sentence(home: Home) -> None:
    before = home.optlab("runs")[0].stdout
    leave = home.log.with_name(home.log.name + ".exit")
    leave.touch()
    try:
        done, _ = home.optlab(*RACE, "--json")
    finally:
        leave.unlink()
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error.startswith("The worker process ended with exit code 7.") and "own.net" in error
    assert home.optlab("runs")[0].stdout == before
