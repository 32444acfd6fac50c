"""Workers that hang: noticed within five seconds, reported, ended on request and never otherwise."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import pytest

from optlab.experiment import Experiment
from optlab.outside.own_models import sources
from optlab.outside.own_models.registering import register
from optlab.runners import (
    JobHandle,
    ProcessRunner,
    StepCompleted,
    StepOverdue,
    TrainJob,
    WorkerPool,
    WorkerResponds,
    WorkerSilent,
    train,
)
from optlab.runners.heartbeat import READY, STARTING, HeartbeatMonitor
from optlab.runners.job_watch import JobWatch
from optlab.store import Store
from optlab.training.control import Inbox, Pause, Resume, Stop
from optlab.training.events import (
    ActivityChanged,
    Event,
    RunEnded,
    SeriesBlock,
    SessionFailed,
    SessionStarted,
    TaskProgress,
)

HANGS = """
import os, torch

class Hangs(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.a = torch.nn.Linear(inputs, outputs)

    def forward(self, x):
        while os.path.exists({path!r}):
            pass
        return self.a(x)
"""


class Follower:
    """Drains a job as the command line does, and remembers when each event came."""

    def __init__(self, job: JobHandle) -> None:
        self.job = job
        self.events: list[Event] = []
        self.times: list[float] = []

    def until(self, kind: type, seconds: float) -> float:
        """Drain until an event of this kind comes; the seconds that it took."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            alive = self.job.alive
            fresh = self.job.drain()
            self.events += fresh
            if any(isinstance(event, kind) for event in fresh):
                return time.monotonic() - began
            if not alive:
                break
            self.job.wait(0.05)
            time.sleep(0.01)
        pytest.fail(f"no {kind.__name__} within {seconds} s: {self.events[-3:]}")

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def followed(
    endless: TrainJob, doomed_pool: WorkerPool, tmp_path: Path
) -> Iterator[tuple[Follower, int]]:
    """An endless stored run in a worker, with the id of its process."""
    worker = doomed_pool.acquire()
    doomed_pool.give_back(worker)
    with Store.open(tmp_path) as store:
        job = train(
            [Experiment.from_toml(text) for text in endless.experiments],
            runner="process", pool=doomed_pool, store=store,
        )  # fmt: skip
    follower = Follower(job)
    follower.until(SeriesBlock, 60.0)
    yield follower, worker.pid
    job.cancel()
    assert job.join(10.0)


def test_that_a_suspended_worker_is_noticed_within_five_seconds_and_continues(
    followed: tuple[Follower, int],
) -> None:
    follower, pid = followed
    os.kill(pid, signal.SIGSTOP)
    assert follower.until(WorkerSilent, 20.0) < 5.0
    (silent,) = follower.of(WorkerSilent)
    assert isinstance(silent, TaskProgress)
    assert re.fullmatch(
        r"The worker process has not responded for [45] seconds: it is suspended \(kill -CONT "
        rf"{pid} lets it continue\)\.",
        silent.words,
    )
    # It is left alone for as long as it takes.
    time.sleep(3.0)
    assert follower.job.alive
    os.kill(pid, signal.SIGCONT)
    assert follower.until(WorkerResponds, 20.0) < 2.0
    blocks = len(follower.of(SeriesBlock))
    follower.until(SeriesBlock, 20.0)
    assert len(follower.of(SeriesBlock)) > blocks
    follower.job.send(Stop())
    follower.until(RunEnded, 20.0)
    (end,) = follower.of(RunEnded)
    assert isinstance(end, RunEnded) and end.status == "stopped"


@pytest.mark.parametrize("first", [pytest.param("stop", marks=pytest.mark.soak), "silence"])
def test_that_a_stop_ends_a_suspended_worker_and_what_was_stored_stays(
    followed: tuple[Follower, int], tmp_path: Path, first: str
) -> None:
    follower, pid = followed
    (run,) = follower.job.run_ids
    time.sleep(1.0)
    os.kill(pid, signal.SIGSTOP)
    if first == "stop":
        follower.job.send(Stop())
    else:
        follower.until(WorkerSilent, 20.0)
        follower.job.send(Stop())
    assert follower.until(SessionFailed, 20.0) < 9.0
    (failed,) = follower.of(SessionFailed)
    assert isinstance(failed, SessionFailed)
    assert "killed" in failed.message and "resumed" in failed.message
    assert follower.job.join(5.0)
    follower.events += follower.job.drain()
    assert not follower.of(WorkerResponds)
    with Store.open_readonly(tmp_path) as store:
        record = store.run(run)
        assert record.status == "interrupted" and record.steps > 0
        assert len(store.series(run)["batch_loss"].steps) == record.steps


@pytest.mark.soak
def test_that_a_paused_run_and_a_busy_one_are_not_taken_for_hanging(
    followed: tuple[Follower, int],
) -> None:
    follower, _ = followed
    follower.job.send(Pause())
    follower.until(ActivityChanged, 20.0)
    until = time.monotonic() + 6.0
    while time.monotonic() < until:
        follower.events += follower.job.drain()
        time.sleep(0.05)
    follower.job.send(Resume())
    follower.until(SeriesBlock, 20.0)
    assert not follower.of(WorkerSilent) and not follower.of(StepOverdue)


@pytest.mark.soak
def test_that_a_reader_that_was_away_does_not_take_its_own_absence_for_silence(
    followed: tuple[Follower, int],
) -> None:
    follower, _ = followed
    time.sleep(6.0)
    for _ in range(20):
        follower.events += follower.job.drain()
        time.sleep(0.02)
    assert not follower.of(WorkerSilent)


@pytest.mark.soak
def test_that_an_endless_loop_in_a_model_is_told_and_ended_only_on_request(
    tmp_path: Path,
    doomed_pool: WorkerPool,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr("optlab.runners.job_watch.OVERDUE_SECONDS", 2.0)
    marker = tmp_path / "hang"
    path = tmp_path / "hangs.py"
    path.write_text(HANGS.format(path=str(marker)), encoding="utf-8")
    register(sources.find(str(path)), "hangs")
    experiment = Experiment.from_dict(
        {"dataset": {"name": "iris"}, "model": {"name": "own.hangs"}, "budget": {"steps": 10**9}}
    )
    with Store.open(tmp_path) as store:
        job = train([experiment], pool=doomed_pool, store=store)
    request.addfinalizer(lambda: job.join(10.0))
    request.addfinalizer(job.cancel)
    assert job.runner == "process"
    follower = Follower(job)
    follower.until(SeriesBlock, 60.0)
    marker.touch()
    follower.until(StepOverdue, 20.0)
    (overdue,) = follower.of(StepOverdue)
    assert isinstance(overdue, StepOverdue)
    assert re.match(r"No step has been completed for [234] seconds: ", overdue.words)
    # It was slow and not hanging after all: nothing was killed.
    marker.unlink()
    follower.until(StepCompleted, 20.0)
    marker.touch()
    follower.until(StepOverdue, 20.0)
    job.send(Stop())
    time.sleep(0.5)
    assert follower.until(StepOverdue, 20.0) < 10.0
    last = follower.of(StepOverdue)[-1]
    assert isinstance(last, StepOverdue)
    assert re.match(r"The run has not stopped for [567] seconds: ", last.words)
    assert job.alive and not follower.of(WorkerSilent)
    job.cancel()
    follower.until(SessionFailed, 10.0)
    assert job.join(5.0)
    with Store.open_readonly(tmp_path) as store:
        assert store.run(job.run_ids[0]).status == "interrupted"


class _Silent:
    name = "process"

    def __init__(self) -> None:
        self.seconds = 0.0

    def silence(self) -> float:
        return self.seconds

    def suspended(self) -> str:
        return ""


def test_that_steps_that_always_take_long_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("optlab.runners.job_watch.time.monotonic", lambda: now[0])
    watch = JobWatch(_Silent(), training=True)  # type: ignore[arg-type] # no events are asked for
    noticed: list[Callable[..., object]] = []

    def pass_time(seconds: int) -> None:
        for _ in range(2 * seconds):
            now[0] += 0.5
            noticed.extend(type(notice) for notice in watch.look())

    watch.on_event(SessionStarted(1, 1, "cpu", "", 1, 1, 1, 1, 0, ()))
    watch.on_delivered()
    for _ in range(5):
        pass_time(35)
        watch.on_event(SeriesBlock(1, 1.0, {}))
        watch.on_delivered()
    assert noticed == [StepOverdue, StepCompleted]


def test_that_setting_up_is_given_more_time_than_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("optlab.runners.job_watch.time.monotonic", lambda: now[0])
    watch = JobWatch(_Silent(), training=True)  # type: ignore[arg-type] # no events are asked for
    noticed: list[tuple[float, str]] = []
    for _ in range(200):
        now[0] += 0.5
        noticed.extend((now[0], notice.words) for notice in watch.look())
    ((at, words),) = noticed
    assert 60.0 <= at <= 61.0
    assert words.startswith("The run has been set up for 60 seconds and has not started: ")


def test_that_an_event_that_is_not_taken_does_not_make_a_step_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("optlab.runners.job_watch.time.monotonic", lambda: now[0])
    watch = JobWatch(_Silent(), training=True)  # type: ignore[arg-type] # no events are asked for
    watch.on_event(SeriesBlock(1, 1.0, {}))
    for _ in range(200):
        now[0] += 0.5
        assert watch.look() == []
    assert isinstance(ProcessRunner().silence(), float)
    assert Inbox().receive(0) == []


class _Beats:
    """The pipe of signs of life, on a clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.suspended = False
        # Of this module alone: the pipe waits by the clock of the system.
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("optlab.runners.heartbeat.time", clock)
        beats, self.end = Pipe(duplex=False)
        self.monitor = HeartbeatMonitor(beats, lambda: self.suspended)

    def silence_after(self, seconds: float) -> float:
        silent = 0.0
        for _ in range(round(2 * seconds)):
            self.now += 0.5
            silent = self.monitor.silence()
        return silent


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Beats]:
    beats = _Beats(monkeypatch)
    yield beats
    beats.end.close()
    beats.monitor.close()


@pytest.mark.parametrize("sign", [None, STARTING])
def test_that_a_worker_that_starts_has_patience_unless_it_is_suspended(
    beats: _Beats, sign: bytes | None
) -> None:
    if sign is not None:
        beats.end.send_bytes(sign)
    assert beats.silence_after(10.0) == 0.0
    if sign is not None:
        beats.end.send_bytes(sign)
        assert beats.silence_after(0.5) == 0.0
        beats.suspended = True
        assert beats.silence_after(4.0) == 4.0
    else:
        beats.suspended = True
        assert beats.silence_after(0.5) == 10.5


def test_that_the_end_of_a_silent_worker_is_no_sign_of_life(beats: _Beats) -> None:
    beats.end.send_bytes(READY)
    beats.silence_after(0.5)
    assert beats.silence_after(4.0) == 4.0
    beats.end.close()
    assert beats.silence_after(10.0) == 4.0
