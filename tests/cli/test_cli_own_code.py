"""Modules of the user's that print, fail or exit while they train, through the installed command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "optlab"]

HEAD = """
import os, sys, torch

class Net(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        {built}
        self.a = torch.nn.Linear(inputs, outputs)
        self.passes = [0]

    def forward(self, x):
        self.passes[0] += 1
        {run}
        return self.a(x)
"""
RUNNERS = [pytest.param("thread", marks=pytest.mark.soak), "process"]
"""The thread is what nobody gets unasked."""
LATE = "if self.passes[0] > 40: "


def optlab(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OPTLAB_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [*COMMAND, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def trained(
    tmp_path: Path, runner: str, run: str = "pass", built: str = "pass"
) -> subprocess.CompletedProcess[str]:
    """Register the module and train it; the registration has to succeed."""
    (tmp_path / "net.py").write_text(HEAD.format(run=run, built=built), encoding="utf-8")
    home = tmp_path / "home"
    register = optlab(
        home, "model", "register", str(tmp_path / "net.py"), "--name", "net", "--yes", "--json"
    )
    assert register.returncode == 0, register.stderr
    json.loads(register.stdout)
    return optlab(
        home, "run", "iris-softmax", "--set", "model.name=own.net", "--steps", "60",
        "--runner", runner, "--json",
    )  # fmt: skip


@pytest.mark.soak
@pytest.mark.parametrize("runner", RUNNERS)
def test_that_what_a_module_prints_does_not_reach_the_document(tmp_path: Path, runner: str) -> None:
    done = trained(tmp_path, runner, "print('a shape', x.shape)", built="print('building')")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "finished"
    assert "building" in done.stderr


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(
    ("run", "reason"),
    [
        pytest.param(
            "raise RuntimeError('negative inputs')",
            "RuntimeError: negative inputs",
            marks=pytest.mark.soak,
        ),
        ("sys.exit('bye')", "SystemExit: bye"),
    ],
)
def test_that_an_error_in_a_forward_pass_is_reported_as_the_modules_own(
    tmp_path: Path, runner: str, run: str, reason: str
) -> None:
    done = trained(tmp_path, runner, LATE + run)
    assert done.returncode == 1
    assert "please report" not in done.stderr and "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    assert document["status"] == "failed"
    expected = f"model.name is 'own.net': its forward pass failed with {reason}."
    assert document["reason"] == expected


C_PRINT = "import ctypes; ctypes.CDLL(None).puts(b'from C'); ctypes.CDLL(None).fflush(None)"


@pytest.mark.parametrize(
    "runner",
    [name if name != "process" else pytest.param(name, marks=pytest.mark.soak) for name in RUNNERS],
)
def test_that_what_c_code_prints_does_not_reach_the_document(tmp_path: Path, runner: str) -> None:
    done = trained(tmp_path, runner, C_PRINT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "finished"
    assert "from C" in done.stderr


@pytest.mark.parametrize(
    ("built", "how"),
    [
        ("os._exit(5)", "ended with exit code 5"),
        pytest.param("os.abort()", "was killed by signal 6, SIGABRT", marks=pytest.mark.soak),
    ],
)
def test_that_registering_code_that_ends_its_process_is_told_in_a_sentence(
    tmp_path: Path, built: str, how: str
) -> None:
    net = tmp_path / "net.py"
    net.write_text(HEAD.format(run="pass", built=built), encoding="utf-8")
    done = optlab(
        tmp_path / "home", "model", "register", str(net), "--name", "net", "--yes", "--json"
    )
    assert done.returncode == 1
    sentence = f"The worker process {how}. It executed code of your own ({net}:Net)."
    assert json.loads(done.stdout)["error"] == sentence
    assert done.stderr.endswith(f"{sentence}\n")


@pytest.fixture(scope="module")
def home_with_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a registered module that prints, or exits where a file says so."""
    folder = tmp_path_factory.mktemp("measuring")
    net = folder / "net.py"
    code = f"print('a shape'); {C_PRINT}\n        if os.path.exists({str(folder / 'exit')!r}): os._exit(9)"
    net.write_text(HEAD.format(run=code, built="pass"), encoding="utf-8")
    done = optlab(folder, "model", "register", str(net), "--name", "net", "--yes")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("spectrum", "--top", "1", "--bottom", "0", "--json"), marks=pytest.mark.soak),
        pytest.param(("slice", "--points", "5"), marks=pytest.mark.soak),
        ("measure", "--instruments", "conditioning", "--json"),
    ],
)
def test_that_commands_that_measure_execute_the_module_in_a_worker(
    home_with_net: Path, words: tuple[str, ...]
) -> None:
    command, *options = words
    done = optlab(
        home_with_net, command, "iris-softmax", "--set", "model.name=own.net", *options
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "a shape" in done.stderr and "from C" in done.stderr
    assert "a shape" not in done.stdout and "from C" not in done.stdout
    assert json.loads(done.stdout) if "--json" in words else len(done.stdout.splitlines()) > 2


def test_that_a_command_whose_worker_ends_says_so_in_a_sentence(home_with_net: Path) -> None:
    (home_with_net / "exit").touch()
    try:
        done = optlab(
            home_with_net, "start", "iris-softmax", "--set", "model.name=own.net", "--json"
        )
    finally:
        (home_with_net / "exit").unlink()
    assert done.returncode == 1
    sentence = json.loads(done.stdout)["error"]
    assert sentence == (
        "The worker process ended with exit code 9. It executed code of your own "
        f"({home_with_net / 'net.py'}:Net)."
    )
    assert sentence in done.stderr


@pytest.mark.soak
def test_that_what_a_module_prints_is_no_result_of_a_run(tmp_path: Path) -> None:
    trained(tmp_path, "process", "print('a shape')", built="print('building')")
    words = ("run", "iris-softmax", "--set", "model.name=own.net", "--steps", "60")
    done = optlab(tmp_path / "home", *words)
    assert done.returncode == 0, done.stderr
    assert "building" not in done.stdout and "a shape" not in done.stdout
    assert "building" in done.stderr and "finished" in done.stdout
    log = (tmp_path / "home" / "optlab.log").read_text(encoding="utf-8")
    assert "a worker printed:\nbuilding" in log


def test_that_bad_input_to_a_command_in_a_worker_is_bad_input(home_with_net: Path) -> None:
    done = optlab(
        home_with_net, "spectrum", "iris-softmax", "--set", "model.name=own.net",
        "--set", "optimizer.lr=-1", "--json",
    )  # fmt: skip
    assert (done.returncode, json.loads(done.stdout)["field"]) == (2, "optimizer.lr")


@pytest.mark.soak
def test_that_a_run_leaves_the_module_to_workers(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    record = f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}} {{os.getppid()}}\\n')"
    done = trained(tmp_path, "auto", record, built=record)
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)["run"]
    resumed = optlab(tmp_path / "home", "run", "--resume", run, "--json")
    assert resumed.returncode == 2  # it is finished
    pairs = [line.split() for line in pids.read_text(encoding="utf-8").splitlines()]
    # A command started every process in which the module was executed; none is a command itself.
    assert pairs and not {pid for pid, _ in pairs} & {parent for _, parent in pairs}
    assert str(os.getpid()) not in {parent for _, parent in pairs}


@pytest.mark.soak
def test_that_a_module_that_ends_its_process_when_a_run_begins_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained(tmp_path, "auto", built="'BREAK' in os.environ and os.abort()").returncode == 0
    monkeypatch.setenv("BREAK", "1")
    done = optlab(tmp_path / "home", "run", "iris-softmax", "--set", "model.name=own.net", "--json")
    assert done.returncode == 1
    sentence = (
        "The worker process was killed by signal 6, SIGABRT. It executed code of your own "
        "(model.name is 'own.net')."
    )
    assert json.loads(done.stdout)["error"] == sentence
