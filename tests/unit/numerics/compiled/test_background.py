"""Sources that are compiled beside the program, and a compiler that nobody waits for."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from optlab.numerics.compiled import background
from optlab.numerics.compiled.compiler import Function, NotCompiled
from tests.slow_compiler import SlowCompiler


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for known in ("_functions", "_failures"):
        monkeypatch.setattr(background, known, {})
    yield
    background.wait()


def awaited(name: str) -> Function | None:
    return background.awaited(f'extern "C" void {name}() {{}}', name, [])


def test_that_nobody_waits_and_that_each_source_is_compiled_once(slow: SlowCompiler) -> None:
    assert awaited("b1") is None
    slow.wait()
    assert awaited("b1") is None and awaited("b2") is None
    assert [one.name for one in threading.enumerate()].count("optlab-compiler") == 1
    slow.go_on()
    background.wait()
    first, second = awaited("b1"), awaited("b2")
    assert first is not None and second is not None
    first()
    assert first is awaited("b1") is background.compiled_before('extern "C" void b1() {}')
    assert slow.begun == 2
    assert "optlab-compiler" not in [one.name for one in threading.enumerate()]


def test_that_only_what_is_ready_is_given_before() -> None:
    assert background.compiled_before('extern "C" void b3() {}') is None
    assert not background._threads and not background._waiting


@pytest.mark.parametrize("missing", [True, False])
def test_that_a_failure_is_logged_once_and_not_repeated(
    missing: bool, monkeypatch: pytest.MonkeyPatch, caplog: Any, tmp_path: Path
) -> None:
    fails = tmp_path / "fails"
    fails.write_text(f'#!/bin/sh\necho once >> "{tmp_path}/begun"\nexit 3\n')
    fails.chmod(0o755)
    monkeypatch.setenv("CXX", "" if missing else str(fails))
    if missing:
        monkeypatch.setenv("PATH", "")
    names = ("b4", "b5", "b4", "b5")
    with caplog.at_level(logging.DEBUG, "optlab"):
        for name in names[:2]:
            assert awaited(name) is None
            background.wait()
        for name in names:
            with pytest.raises(NotCompiled, match="No C" if missing else "exit code 3"):
                awaited(name)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert caplog.messages[0].startswith("steps are not compiled: ")
    if not missing:
        # Twice each: without the options for this machine, too.
        assert len((tmp_path / "begun").read_text().split()) == 4


def test_that_a_program_without_another_thread_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert awaited("b6") is None
    with pytest.raises(NotCompiled, match=r"needs a thread: can't start new thread\.$"):
        awaited("b6")


BEGINS = """
import multiprocessing, os, sys
from pathlib import Path
from optlab.numerics.compiled import background
from tests.slow_compiler import SlowCompiler

SOURCE = 'extern "C" void b7() {}'

def begin():
    slow = SlowCompiler(Path(sys.argv[1]))
    os.environ["CXX"] = slow.command
    assert background.awaited(SOURCE, "b7", []) is None
    slow.wait()
    return slow
"""
ENDS: dict[str, str] = {
    "returns": "begin()\n",
    "exits": "begin()\nsys.exit(0)\n",
    "process": """
process = multiprocessing.get_context("fork").Process(target=begin)
process.start()
process.join()
sys.exit(process.exitcode)
""",
    "fork": """
slow = begin()
child = os.fork()
if not child:
    # Nobody compiles here, until somebody asks again.
    slow.go_on()
    assert background.awaited(SOURCE, "b7", []) is None
    background.wait()
    background.awaited(SOURCE, "b7", [])()
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
background.wait()
background.awaited(SOURCE, "b7", [])()
""",
    "fork that ends": """
slow = begin()
child = os.fork()
if not child:
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
slow.go_on()
background.wait()
background.awaited(SOURCE, "b7", [])()
""",
}


@pytest.mark.parametrize("way", ENDS)
def test_that_the_end_of_a_process_ends_its_compiler_and_no_other(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    program = BEGINS + ENDS[way]
    # Newer versions of Python warn of any fork beside threads.
    command: list[Any] = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    done = subprocess.run([*command, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert not SlowCompiler(tmp_path).running()
    assert not list(temporary.iterdir())
