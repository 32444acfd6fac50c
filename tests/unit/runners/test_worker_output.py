"""What code in a worker prints: caught at the level of descriptors, reported in part, logged, bounded."""

from __future__ import annotations

import logging
import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optlab.core.logging import log_file, log_to_file
from optlab.experiment import Experiment
from optlab.outside.own_models import sources
from optlab.outside.own_models.registering import register
from optlab.runners import ProcessRunner, TrainJob, WorkerOutput, WorkerPool
from optlab.runners.output import (
    END_LINES,
    LOGGED_CHARACTERS,
    REPORTED_CHARACTERS,
    REPORTED_LINES,
    JobOutput,
)
from optlab.training.control import Inbox
from optlab.training.events import Event, RunEnded, SessionFailed

PRINTS = """
import ctypes, os, sys, torch, warnings

class Prints(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.a = torch.nn.Linear(inputs, outputs)

    def forward(self, x):
        # Only in a worker: registering executes it here.
        if os.environ.get("OPTLAB_TEST_PID") != str(os.getpid()):
            {run}
        return self.a(x)
"""


def printing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pool: WorkerPool | None,
    run: str,
    steps: int = 3,
) -> list[Event]:
    """Train a module that runs a statement in each forward pass."""
    monkeypatch.setenv("OPTLAB_TEST_PID", str(os.getpid()))
    path = tmp_path / "prints.py"
    path.write_text(PRINTS.format(run=run), encoding="utf-8")
    register(sources.find(str(path)), "prints")
    experiment = Experiment.from_dict(
        {"dataset": {"name": "iris"}, "model": {"name": "own.prints"}, "budget": {"steps": steps}}
    )
    return list(ProcessRunner(pool).events(TrainJob((experiment.to_toml(),)), Inbox()))


def printed(events: list[Event]) -> str:
    return "".join(event.words for event in events if isinstance(event, WorkerOutput))


@pytest.fixture
def log() -> Iterator[Path]:
    """The log file, written as by the command."""
    root = logging.getLogger("optlab")
    before, level, propagate = list(root.handlers), root.level, root.propagate
    log_file().parent.mkdir(parents=True, exist_ok=True)
    log_to_file()
    yield log_file()
    root.handlers[:], root.propagate = before, propagate
    root.setLevel(level)


SOAK = pytest.mark.soak
WAYS = {
    "print": "print('a shape')",
    "standard error": "print('a shape', file=sys.stderr)",
    "the descriptor": "os.write(1, b'a shape\\n')",
    "C code": "ctypes.CDLL(None).puts(b'a shape')",
    "a warning": "warnings.warn('a shape')",
    "a child process": "os.system('echo a shape')",
}


@pytest.mark.parametrize(
    "way",
    [way if way in ("print", "C code") else pytest.param(way, marks=SOAK) for way in WAYS],
)
def test_that_output_of_every_kind_is_caught_reported_and_logged(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    log: Path,
    way: str,
) -> None:
    events = printing(tmp_path, monkeypatch, None, WAYS[way])
    assert any(isinstance(event, RunEnded) and event.status == "finished" for event in events)
    assert "a shape" in printed(events)
    assert "a shape" in log.read_text(encoding="utf-8")
    captured = capfd.readouterr()
    assert "a shape" not in captured.out + captured.err


def test_that_output_without_end_is_bounded_and_its_end_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    events = printing(
        tmp_path, monkeypatch, None, "print('\\n'.join(['y' * 999] * 20_000)); print('the end')"
    )
    assert any(isinstance(event, RunEnded) and event.status == "finished" for event in events)
    text = printed(events)
    assert len(text) < 2 * REPORTED_CHARACTERS
    more = re.search(r"\(([\d,]+) more lines were printed; see (.*)\)", text)
    assert more and int(more[1].replace(",", "")) > 100_000 and more[2] == str(log)
    logged = log.read_text(encoding="utf-8")
    assert len(logged) < 2 * LOGGED_CHARACTERS and "the end" in logged
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000 * (1024 if sys.platform == "darwin" else 1)


def test_that_the_output_of_one_job_is_not_that_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: WorkerPool, short: TrainJob
) -> None:
    assert "first" in printed(printing(tmp_path, monkeypatch, None, "print('first', end='')"))
    assert printed(list(ProcessRunner(pool).events(short, Inbox()))) == ""


@pytest.mark.expects_log("worker process ended unexpectedly")
@pytest.mark.parametrize(
    ("run", "how"),
    [
        ("print('last words'); os._exit(7)", "ended with exit code 7"),
        ("print('last words'); ctypes.string_at(0)", "was killed by signal 11, SIGSEGV"),
        *(
            pytest.param(f"print('last words'); {run}", f"was killed by {how}", marks=SOAK)
            for run, how in (
                ("os.kill(os.getpid(), 11)", "signal 11, SIGSEGV"),
                ("os.abort()", "signal 6, SIGABRT"),
            )
        ),
    ],
)
def test_that_the_last_words_of_a_worker_that_dies_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Path, run: str, how: str
) -> None:
    events = printing(tmp_path, monkeypatch, None, run)
    assert isinstance(events[-1], SessionFailed)
    assert how in events[-1].message
    assert "last words" in printed(events)
    if "signal" in how:
        # Where the crash was, as the interpreter says.
        assert "in forward" in log.read_text(encoding="utf-8")


def test_that_lines_and_characters_of_a_job_are_counted_across_reads() -> None:
    output = JobOutput()
    report = output.feed(b"one\ntw") + output.feed(b"o\n" + b"x\n" * 100) + output.finish()
    lines = report.splitlines()
    assert lines[:2] == ["one", "two"] and lines[2:20] == ["x"] * 18
    assert lines[20:] == ["(82 more lines were printed; they are not kept)"]
    assert (REPORTED_LINES, END_LINES > 0) == (20, True)


def test_that_a_line_without_end_does_not_fill_the_memory() -> None:
    output = JobOutput()
    for _ in range(1000):
        output.feed(b"z" * 65_536)
    assert len(output._partial) <= 2_000
    assert "more lines" in output.finish()
