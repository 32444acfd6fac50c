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


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_that_what_a_module_prints_does_not_reach_the_document(tmp_path: Path, runner: str) -> None:
    done = trained(tmp_path, runner, "print('a shape', x.shape)", built="print('building')")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "finished"
    assert "building" in done.stderr


@pytest.mark.parametrize("runner", ["thread", "process"])
@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ("raise RuntimeError('negative inputs')", "RuntimeError: negative inputs"),
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
