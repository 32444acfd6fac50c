"""Workers that a command starts before it has imported what it needs itself."""

from __future__ import annotations

import sys
import typing
from pathlib import Path
from typing import Any

import pytest

from optlab.cli import study as command
from optlab.cli.run import RUNNERS
from optlab.core.spawning import spawn, usable_cores
from optlab.runners.pool import WorkerPool
from optlab.runners.study import LocalLauncher
from optlab.runners.worker import ENTRY, WARM
from optlab.studies.comparison import reading

STUDY = """
base = "iris-softmax"
[arms.a]
optimizer.lr = 0.01
[arms.b]
optimizer.lr = 0.1
[seeds]
count = {count}
[measure]
of = "train_loss"
{more}
"""


class Process:
    """Stands for a spawned process; counts how often it is ended."""

    def __init__(self) -> None:
        self.ended = 0

    def end(self) -> None:
        self.ended += 1


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Targets of the processes that the command has started; no process is started."""
    targets: list[tuple[str, ...]] = []
    monkeypatch.setattr(command, "spawn", lambda *target: targets.append(target) or Process())
    monkeypatch.setattr(command, "usable_cores", lambda: 4)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return targets


def written(folder: Path, count: object, more: str = "") -> str:
    file = folder / "study.toml"
    file.write_text(STUDY.format(count=count, more=more))
    return str(file)


@pytest.mark.parametrize(
    ("count", "runner", "workers"),
    [(2, "auto", 1), (12, "auto", 4), (2, "process", 4), (12, "thread", 0), ('"x"', "auto", 0)],
)
def test_that_a_study_starts_the_workers_that_it_will_need(
    tmp_path: Path, started: list[tuple[str, ...]], count: object, runner: str, workers: int
) -> None:
    assert len(command._early_workers(written(tmp_path, count), runner)) == workers
    assert started == [(ENTRY, WARM)] * workers


def test_that_a_process_with_torch_starts_no_workers_for_a_small_study(
    tmp_path: Path, started: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", typing)
    assert command._early_workers(written(tmp_path, 2), "auto") == []


@pytest.mark.parametrize("source", ["", "no-such-study", "/dev/zero", "a\0b"])
def test_that_no_worker_is_started_for_what_is_no_study(
    started: list[tuple[str, ...]], source: str
) -> None:
    assert command._early_workers(source, "auto") == []


def test_that_shipped_studies_are_found(started: list[tuple[str, ...]]) -> None:
    assert command._early_workers("nesterov-vs-momentum", "auto") != []


def test_that_workers_end_where_the_command_refuses_its_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optlab.core.errors import InvalidInput

    processes: list[Any] = [Process(), Process()]
    monkeypatch.setattr(command, "_early_workers", lambda *_: processes)
    with pytest.raises(InvalidInput, match="whole number"):
        command.study(written(tmp_path, 2), seeds="many")
    assert [process.ended for process in processes] == [1, 1]


def test_that_the_options_name_all_runners() -> None:
    hint = typing.get_type_hints(command.study, include_extras=True)["runner"]
    assert hint.__metadata__[0].metavar == "|".join(RUNNERS)


def test_that_a_pool_ends_the_processes_that_it_has_no_place_for() -> None:
    process = spawn(ENTRY, WARM)
    pool = WorkerPool(1, [process, spare := Process()])  # type: ignore[list-item]
    try:
        assert spare.ended == 1
        assert pool.acquire().pid == process.process.pid
    finally:
        pool.close()
        process.end()


@pytest.mark.parametrize(
    ("what", "runner", "slots"),
    [('what = "final"', "process", 2), ('what = "seconds_to"\ntarget = 0.5', "process", 1)],
)
def test_that_a_small_study_trains_in_the_workers_that_there_are(
    tmp_path: Path, what: str, runner: str, slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools: list[tuple[int, list[Any]]] = []

    class Pool:
        def __init__(self, spares: int, spawned: list[Any]) -> None:
            pools.append((spares, spawned))

        def warm(self) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr("optlab.runners.study.WorkerPool", Pool)
    study = reading.load(Path(written(tmp_path, 2, what)))
    processes: list[Any] = [Process(), Process()]
    launcher = LocalLauncher(None, "auto", study, processes)  # type: ignore[arg-type]
    assert (launcher.runner, launcher.slots, pools) == (runner, slots, [(slots, processes)])
    assert LocalLauncher(None, "auto", study).runner == "thread"  # type: ignore[arg-type]
    LocalLauncher(None, "thread", study, processes)  # type: ignore[arg-type]
    assert [process.ended for process in processes] == [1, 1]


def test_that_at_least_one_core_is_usable() -> None:
    assert usable_cores() >= 1
