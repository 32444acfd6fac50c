"""A loop that is watched and whoever looks on can be killed at any moment, and neither harms the
other.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from optlab.outside.foreign_runs.records import ForeignRun
from optlab.outside.foreign_runs.watched import find_runs, open_run

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    processes: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> subprocess.Popen[str]:
        processes.append(
            subprocess.Popen(
                [sys.executable, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def loop(start: Start, folder: Path, steps: int) -> subprocess.Popen[str]:
    return start(str(Path(__file__).with_name("train_watched.py")), str(folder), str(steps))


def onlooker(start: Start, folder: Path) -> subprocess.Popen[str]:
    return start("-m", "optlab", "watched", str(folder), "--follow")


def wait_for(folder: Path, steps: int, process: int, seconds: float = 60) -> ForeignRun:
    """Read the run of a process until it has so many steps."""
    deadline = time.monotonic() + seconds
    runs: dict[str, ForeignRun] = {}
    while time.monotonic() < deadline:
        for each in find_runs(folder) if folder.is_dir() else []:
            if each.name not in runs:
                runs[each.name] = open_run(each)
            run = runs[each.name]
            if run.identity.process == process:
                run.read()
                if "loss" in run.series and run.last("loss")[0] >= steps:
                    return run
        time.sleep(0.02)
    raise AssertionError(f"fewer than {steps} steps were recorded in {seconds} s")


def check_what_is_left(folder: Path, at_least: int) -> None:
    """Whatever was recorded is whole: the losses of the first steps, in order."""
    run = open_run(folder)
    run.read()
    steps = [step for part in run.series["loss"] for step in part.steps.tolist()]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) >= at_least
    assert run.status == "interrupted" and run.skipped == 0
    before = run.end
    assert run.read().series == () and run.end == before


def test_that_kills_of_either_side_harm_nobody(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    trained = loop(start, folder, 0)
    first = wait_for(folder, 100, trained.pid)
    looks = onlooker(start, folder)
    assert looks.stdout is not None and "running" in looks.stdout.readline()
    looks.kill()
    looks.wait()
    recorded = first.last("loss")[0]
    later = wait_for(folder, recorded + 100, trained.pid)
    time.sleep(random.random() / 5)
    trained.kill()
    trained.wait()
    check_what_is_left(later.source.path, recorded + 100)
