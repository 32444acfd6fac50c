"""Processes that are forked from a template."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest

from optlab.core import spawning
from optlab.core.forking import Fork
from optlab.core.spawning import Spawned, spawn

HERE = "tests.unit.core.test_forking"
SECONDS = 60.0


# --- what the processes execute -------------------------------------------------------------------


def warm() -> None:
    """Import what the forks share, once."""
    import numpy  # noqa: F401

    os.environ["WARMED_BY"] = str(os.getpid())


def found(pipe: Connection, _beats: Connection, _printed: Connection) -> None:
    """Send what a fork has been given."""
    import numpy as np

    pipe.send(
        {
            "environment": dict(os.environ),
            "folder": os.getcwd(),
            "path": sys.path,
            "parent": os.getppid(),
            "numbers": np.random.random(3).tolist(),
        }
    )


def ending(pipe: Connection, _beats: Connection, _printed: Connection) -> None:
    """End as the parent says."""
    how = pipe.recv()
    if how == "error":
        raise ValueError(how)
    sys.exit(how)


def printing(_pipe: Connection, _beats: Connection, _printed: Connection) -> None:
    """Write to standard output, which is another process's."""
    print("from a fork")


# --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def _templates() -> Iterator[None]:
    """Templates of these tests, which end with them."""
    with pytest.MonkeyPatch.context() as patch:
        templates: dict[str, Any] = {}
        patch.setattr(spawning, "_templates", templates)
        yield
        _end(templates)


@pytest.fixture
def own_template(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A template of one test."""
    templates: dict[str, Any] = {}
    monkeypatch.setattr(spawning, "_templates", templates)
    yield templates
    _end(templates)


def _end(templates: dict[str, Any]) -> None:
    for process, template in templates.values():
        template.close()
        process.join()
        assert process.exitcode == 0


@pytest.fixture
def started() -> Iterator[list[Spawned]]:
    processes: list[Spawned] = []
    yield processes
    for process in processes:
        process.end(SECONDS)


def fork(started: list[Spawned], what: str) -> Spawned:
    started.append(spawn(f"{HERE}:{what}", f"{HERE}:warm"))
    return started[-1]


def received(process: Spawned) -> dict[str, Any]:
    assert process.pipe.poll(SECONDS)
    document: dict[str, Any] = process.pipe.recv()
    return document


def test_that_forks_share_what_was_imported_and_get_the_rest_from_their_parent(
    started: list[Spawned], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = received(fork(started, "found"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAID_LATER", "yes")
    monkeypatch.syspath_prepend(str(tmp_path))
    second = received(fork(started, "found"))
    assert [first["parent"], second["parent"]] == 2 * spawning.template_ids()
    # Nothing of the template's own environment, and all of the parent's as it is now.
    assert second["environment"] == dict(os.environ)
    assert (second["folder"], second["path"]) == (str(tmp_path), sys.path)
    assert first["folder"] != second["folder"]
    assert first["numbers"] != second["numbers"]


def test_that_the_parent_learns_how_a_fork_ended(started: list[Spawned]) -> None:
    # No exceptions are sent: where Dask is imported, tblib unpickles them without their code.
    for how, code in [(0, 0), (3, 3), ("no", 1), ("error", 1)]:
        process = fork(started, "ending")
        assert process.process.is_alive()
        assert process.process.exitcode is None
        process.pipe.send(how)
        process.process.join(SECONDS)
        assert process.process.exitcode == code, how
        assert not process.process.is_alive()


def test_that_a_fork_can_be_killed_and_is_reaped(started: list[Spawned]) -> None:
    process = fork(started, "ending")
    assert process.process.pid is not None
    seen = psutil.Process(process.process.pid)
    process.process.kill()
    process.process.join(SECONDS)
    assert process.process.exitcode == -signal.SIGKILL
    assert not seen.is_running()


@pytest.mark.usefixtures("own_template")
def test_that_a_fork_that_has_not_begun_can_be_killed(started: list[Spawned]) -> None:
    process = fork(started, "ending")  # while the template imports
    assert not process.begun
    process.process.kill()
    assert not process.process.is_alive()
    # It never acts: its pipe closes without a word, although ours is still open.
    with pytest.raises(EOFError):
        assert process.pipe.poll(SECONDS)
        process.pipe.recv()


def test_that_a_template_that_is_gone_is_replaced(started: list[Spawned]) -> None:
    first = received(fork(started, "found"))
    (template,) = spawning.template_ids()
    os.kill(template, signal.SIGKILL)
    process, _ = spawning._templates[f"{HERE}:warm"]
    process.join(SECONDS)
    second = received(fork(started, "found"))
    assert second["parent"] not in (template, first["parent"])


def test_that_forks_end_with_a_template_that_their_parent_closes(
    started: list[Spawned], own_template: dict[str, Any]
) -> None:
    process = fork(started, "ending")
    assert process.process.pid is not None
    ((server, template),) = own_template.values()
    template.close()
    server.join()
    assert server.exitcode == 0
    # Nobody can say any more how it ends.
    assert not process.process.is_alive()
    assert process.process.exitcode is None


@pytest.mark.usefixtures("own_template")
def test_that_what_a_fork_prints_is_not_in_the_output_of_its_parent(
    started: list[Spawned], capfd: pytest.CaptureFixture[str]
) -> None:
    process = fork(started, "printing")
    process.process.join(SECONDS)
    assert process.process.exitcode == 0
    out, err = capfd.readouterr()
    assert (out, err) == ("", "from a fork\n")


def test_that_a_wait_for_a_fork_ends_in_time() -> None:
    status, line = Pipe(duplex=False)
    began = time.monotonic()
    waiting = Fork(status, lambda: None)
    waiting.join(0.05)
    assert waiting.is_alive()
    assert time.monotonic() - began >= 0.05
    line.close()
    waiting.join()
    assert not waiting.is_alive()
