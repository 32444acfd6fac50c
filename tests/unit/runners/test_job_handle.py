"""The job: bounded, lossless, and always to be stopped."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from optlab.experiment import Experiment
from optlab.runners import JobHandle, NotRecorded, ProcessRunner, RecordingHeld, resume, train
from optlab.runners import outbox as outbox_module
from optlab.runners.jobs import TrainJob
from optlab.runners.outbox import Outbox
from optlab.store import Store
from optlab.tasks.preview import PreviewTask
from optlab.training.control import Inbox, Stop
from optlab.training.events import (
    Event,
    RunEnded,
    Series,
    SeriesBlock,
    SessionEnded,
    SessionFailed,
    SessionStarted,
    SnapshotTaken,
)
from optlab.training.snapshot import Snapshot

_JOB = PreviewTask({"name": "moons"})


def _block(step: int, rows: int = 1) -> SeriesBlock:
    steps = np.arange(step, step + rows, dtype=np.int64)
    return SeriesBlock(step, 0.0, {"batch_loss": Series(steps, steps[:, None].astype(float))})


class Scripted:
    """A runner that tells what a script yields."""

    name = "thread"

    def __init__(self, script: Callable[[Inbox], Iterator[Event]]) -> None:
        self._script = script
        self.killed = threading.Event()

    def events(self, job: object, inbox: Inbox) -> Iterator[Event]:
        yield from self._script(inbox)

    def silence(self) -> float:
        return 0.0

    def suspended(self) -> str:
        return ""

    def kill(self) -> None:
        self.killed.set()


def _forever(inbox: Inbox) -> Iterator[Event]:
    step = 0
    while Stop() not in inbox.receive(step):
        step += 1
        yield _block(step)
    yield SessionEnded()


def _all(job: JobHandle) -> list[Event]:
    received: list[Event] = []
    while job.wait(30) and (fresh := job.drain()):
        received += fresh
    assert job.join(30)
    return received + job.drain()


def test_that_all_events_arrive_in_order_through_a_small_outbox():
    job = JobHandle(
        _JOB, Scripted(lambda inbox: iter([_block(step) for step in range(500)])), capacity=3
    )
    job.start()
    job.start()
    steps: list[int] = []
    while job.wait(30) and (fresh := job.drain()):
        assert len(fresh) <= 3
        steps += [event.step for event in fresh]
    assert steps == list(range(500))
    assert job.join(30) and not job.alive


def test_that_a_full_outbox_holds_the_job_up_and_cancel_frees_it():
    job = JobHandle(_JOB, Scripted(_forever), capacity=4)
    job.start()
    assert job.wait(30)
    assert not job.join(0.2)
    job.cancel()
    job.cancel()
    assert job.join(30)
    received = job.drain()
    # No step is missing, and only the few that were under way came after the cancel.
    assert [event.step for event in received[:-1]] == list(range(1, len(received)))
    assert isinstance(received[-1], SessionEnded)


def test_that_an_outbox_is_bounded_in_bytes_but_takes_one_event_of_any_size(monkeypatch):
    monkeypatch.setattr(outbox_module, "BYTES", 1000)
    box = Outbox(100)
    box.put(SnapshotTaken(0, Snapshot(0, 0.0, np.zeros(10_000), {})))
    blocked = threading.Thread(target=lambda: (box.put(_block(1)), box.put(_block(2))))
    blocked.start()
    assert box.wait(1) and len(box) == 1
    assert len(box.drain()) == 1
    blocked.join(30)
    assert [event.step for event in box.drain()] == [1, 2]


@pytest.mark.expects_log("failed: ")
def test_that_a_defect_of_a_runner_is_told():
    def broken(inbox: Inbox) -> Iterator[Event]:
        yield _block(1)
        raise RuntimeError("a defect")

    job = JobHandle(_JOB, Scripted(broken))
    job.start()
    received = _all(job)
    assert isinstance(received[-1], SessionFailed) and "a defect" in received[-1].detail


def test_that_an_owner_that_was_never_started_can_be_cancelled():
    job = JobHandle(_JOB, Scripted(_forever))
    assert not job.join(0)
    job.cancel()
    assert job.join(30)


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (_JOB, "The task was cancelled, and its worker ended with it."),
        (TrainJob(("",)), "The worker did not stop within 0.01 seconds and was killed; "),
    ],
)
def test_that_a_worker_that_was_killed_is_told_as_what_it_was(job, words):
    def hanging(inbox: Inbox) -> Iterator[Event]:
        assert runner.killed.wait(30)
        yield SessionFailed("The pipe broke.")

    runner = Scripted(hanging)
    handle = JobHandle(job, runner, stop_seconds=0.01)
    handle.start()
    handle.cancel()
    (failed,) = _all(handle)
    assert isinstance(failed, SessionFailed) and failed.message.startswith(words)


@pytest.mark.expects_log("recording of .* failed")
def test_that_a_fault_that_lasts_is_told_once_and_the_run_goes_on(tmp_path):
    experiment = Experiment.from_dict({"dataset": {"name": "moons"}, "model": {"name": "mlp"}})
    with Store.open(tmp_path) as store:
        writer = store.begin([experiment], "thread")
        writer._connection.execute("PRAGMA query_only = ON")
        blocks = [_block(1 + 2000 * number, 2000) for number in range(100)]
        job = JobHandle(_JOB, Scripted(lambda inbox: iter([*blocks, SessionEnded()])), writer)
        job.start()
        received = _all(job)
        complaints = [event for event in received if isinstance(event, NotRecorded)]
        assert (
            len(complaints) == 1
            and "not recorded" in complaints[0].words
            and "cannot be written" in complaints[0].words
        )
        assert [event for event in received if not isinstance(event, NotRecorded)] == [
            *blocks,
            SessionEnded(),
        ]
        assert store.run(job.run_ids[0]).status == "interrupted"


@pytest.mark.expects_log("recording of .* failed")
@pytest.mark.parametrize(
    "end", [lambda job: job.send(Stop()), lambda job: job.cancel()], ids=["stop", "cancel"]
)
def test_that_a_run_that_waits_for_room_can_be_ended(tmp_path, end):
    experiment = Experiment.from_dict({"dataset": {"name": "moons"}, "model": {"name": "mlp"}})
    with Store.open(tmp_path) as store:
        writer = store.begin([experiment], "thread")
        writer._connection.execute("PRAGMA max_page_count = 1")
        job = JobHandle(_JOB, Scripted(_forever), writer)
        job.start()
        received: list[Event] = []
        while not any(isinstance(event, RecordingHeld) for event in received):
            assert job.wait(30)
            received += job.drain()
        waiting = next(event for event in received if isinstance(event, RecordingHeld))
        assert "is full: the run waits" in waiting.words
        assert not job.join(0.5) and job.drain() == [], "nothing happens while it waits"
        end(job)
        assert job.join(30)
        received = job.drain()
        assert next(event.words for event in received if isinstance(event, NotRecorded)).endswith(
            "on another disk."
        )
        assert isinstance(received[-1], SessionEnded)
        assert store.run(job.run_ids[0]).status == "interrupted"


@pytest.mark.parametrize("hangs", [False, True])
def test_that_cancel_ends_a_run_in_a_worker_within_three_seconds(
    tmp_path, doomed_pool, endless, hangs
):
    worker = doomed_pool.acquire()
    doomed_pool.give_back(worker)
    with Store.open(tmp_path) as store:
        writer = store.begin([Experiment.from_toml(endless.experiments[0])], "process")
        job = JobHandle(endless, ProcessRunner(doomed_pool), writer, capacity=8)
        job.start()
        while not any(isinstance(event, SeriesBlock) for event in job.drain()):
            assert job.wait(30)
        if hangs:
            os.kill(worker.pid, signal.SIGSTOP)
        job.cancel()
        assert job.join(3.0)
        record = store.run(job.run_ids[0])
        assert worker.alive != hangs
        if hangs:
            assert record.status == "interrupted" and "did not stop" in record.reason
            assert isinstance(job.drain()[-1], SessionFailed)
        else:
            assert record.status == "stopped"


def test_that_training_is_recorded_before_it_is_told(tmp_path):
    experiment = Experiment.from_dict(
        {"dataset": {"name": "moons"}, "model": {"name": "mlp"}, "budget": {"steps": 50}}
    )
    job = train([experiment, experiment, experiment], store=tmp_path)
    assert job.runner == "thread"
    received = _all(job)
    assert isinstance(received[0], SessionStarted)
    ended = {event.run: event for event in received if isinstance(event, RunEnded)}
    with Store.open_readonly(tmp_path) as store:
        for place, run in enumerate(job.run_ids):
            record = store.run(run)
            assert (record.status, record.steps, record.place) == ("finished", 50, place)
            assert record.theta_sha256 == ended[place].theta_sha256
            assert len(store.series(run)["batch_loss"].steps) == 50
    assert len(job.run_ids) == 3


def test_that_a_run_that_is_not_recorded_needs_no_store(tmp_path):
    experiment = Experiment.from_dict(
        {"dataset": {"name": "moons"}, "model": {"name": "mlp"}, "budget": {"steps": 20}}
    )
    job = train([experiment])
    assert job.run_ids == () and isinstance(_all(job)[-1], SessionEnded)


def test_that_a_failed_start_is_recorded_and_can_be_resumed(tmp_path):
    good = Experiment.from_dict(
        {"dataset": {"name": "moons"}, "model": {"name": "mlp"}, "budget": {"steps": 20}}
    )
    other = good.with_value("batches.size", 16)
    job = train([good, other], store=tmp_path)
    assert "differs" in _all(job)[-1].message
    with Store.open(tmp_path) as store:
        record = store.run(job.run_ids[0])
        assert record.status == "failed" and "differs" in record.reason and record.resumable
    again = resume(job.run_ids[:1], store=tmp_path)
    assert isinstance(_all(again)[-1], SessionEnded)
