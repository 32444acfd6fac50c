"""Standard output or error that is closed, full, or read by nobody: no traceback, an honest code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from optlab.cli.parser import command_line
from optlab.core import streams
from optlab.entry import main
from optlab.store import Store

SHORT_RUN = ["run", "iris-softmax", "--steps", "5"]
COMMANDS = [
    ["--help"],
    ["--version"],
    ["list", "optimizers"],
    ["list", "optimizers", "--json"],
    ["show", "adam"],
    ["runs"],
    ["doctor"],
    ["doctor", "--json"],
    SHORT_RUN,
    [*SHORT_RUN, "--json"],
    ["race", "iris-softmax", "--steps", "5", "--optimizers", "sgd,adam", "--json"],
    ["spectrum", "iris-softmax", "--steps", "5", "--json"],
    ["surface", "rosenbrock", "--steps", "5"],
]
EVERY_DAY = (2, 3, 8, 9)
SOME = [COMMANDS[9], *(pytest.param(words, marks=pytest.mark.soak) for words in COMMANDS[:3])]
REFUSED = ["run", "no-such-preset", "--json"]


def _start(arguments: list[str], **streams_of: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "optlab", *arguments]
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        command, text=True, timeout=100, check=False, **streams_of
    )


def _close(*descriptors: int) -> Callable[[], None]:
    return lambda: [os.close(descriptor) for descriptor in descriptors] and None


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(words, marks=[] if number in EVERY_DAY else pytest.mark.soak)
        for number, words in enumerate(COMMANDS)
    ],
    ids=" ".join,
)
def test_output_that_is_full_gives_one_sentence_and_exit_code_1(arguments: list[str]) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = _start(arguments, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Standard output cannot be written (No space")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", SOME, ids=" ".join)
def test_output_that_is_closed_gives_one_sentence_and_exit_code_1(arguments: list[str]) -> None:
    done = _start(arguments, stderr=subprocess.PIPE, preexec_fn=_close(1))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Standard output cannot be written (it is clos")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", SOME, ids=" ".join)
def test_a_reader_who_left_ends_a_command_in_silence(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = _start(arguments, stdout=pipe, stderr=subprocess.PIPE)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "cannot be written" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [pytest.param(COMMANDS[2], marks=pytest.mark.soak), SHORT_RUN, REFUSED],
    ids=" ".join,
)
@pytest.mark.parametrize("closed", [True, pytest.param(False, marks=pytest.mark.soak)])
def test_errors_that_go_nowhere_do_not_change_the_exit_code(
    arguments: list[str], closed: bool
) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        where = {"preexec_fn": _close(2)} if closed else {"stderr": full}
        done = _start(arguments, stdout=subprocess.PIPE, **where)
    assert done.returncode == (2 if arguments is REFUSED else 0)
    assert done.stdout


@pytest.mark.parametrize(
    "arguments",
    [*(pytest.param(words, marks=pytest.mark.soak) for words in (COMMANDS[2], SHORT_RUN)), REFUSED],
    ids=" ".join,
)
def test_a_command_without_any_stream_has_an_honest_exit_code(arguments: list[str]) -> None:
    done = _start(arguments, preexec_fn=_close(0, 1, 2))
    assert done.returncode == (2 if arguments is REFUSED else 1)


def test_a_run_is_stored_whole_although_its_output_is_closed() -> None:
    # The next file that is opened would get the number of the closed stream, and be printed into.
    assert _start([*SHORT_RUN, "--json"], preexec_fn=_close(0, 1, 2)).returncode == 1
    with Store.open_readonly() as store:
        (record,) = store.runs()
        assert (record.status, record.steps) == ("finished", 5)
        assert store.hidden == ""


NAMES = sorted(command_line([]).commands)


@pytest.mark.parametrize("command", NAMES)
def test_the_help_of_every_command_says_that_it_cannot_be_written(
    command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        stream = streams._text(streams._Output(full.fileno()), "utf-8")
        monkeypatch.setattr(sys, "stdout", stream)
        assert main([command, "--help"]) == 1
        stream.close()
    assert capfd.readouterr().err.startswith("Standard output cannot be written")


@pytest.mark.soak
def test_the_window_opens_without_any_stream(tmp_path: Path) -> None:
    done = _start(["--smoke", str(tmp_path / "picture.png")], preexec_fn=_close(0, 1, 2))
    assert done.returncode == 0
