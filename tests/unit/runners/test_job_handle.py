"""The owner: bounded, lossless, and always to be stopped."""

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

    def kill(self) -> None:
        self.killed.set()


def _forever(inbox: Inbox) -> Iterator[Event]:
    step = 0
    while Stop() not in inbox.take(step):
        step += 1
        yield _block(step)
    yield SessionEnded()


def _all(owner: JobHandle) -> list[Event]:
    told: list[Event] = []
    while owner.wait(30) and (fresh := owner.drain()):
        told += fresh
    assert owner.join(30)
    return told + owner.drain()


def test_that_all_events_arrive_in_order_through_a_small_outbox():
    owner = JobHandle(
        _JOB, Scripted(lambda inbox: iter([_block(step) for step in range(500)])), capacity=3
    )
    owner.start()
    owner.start()
    steps: list[int] = []
    while owner.wait(30) and (fresh := owner.drain()):
        assert len(fresh) <= 3
        steps += [event.step for event in fresh]
    assert steps == list(range(500))
    assert owner.join(30) and not owner.alive


def test_that_a_full_outbox_holds_the_job_up_and_cancel_frees_it():
    owner = JobHandle(_JOB, Scripted(_forever), capacity=4)
    owner.start()
    assert owner.wait(30)
    assert not owner.join(0.2)
    owner.cancel()
    owner.cancel()
    assert owner.join(30)
    told = owner.drain()
    # No step is missing, and only the few that were under way came after the cancel.
    assert [event.step for event in told[:-1]] == list(range(1, len(told)))
    assert isinstance(told[-1], SessionEnded)


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

    owner = JobHandle(_JOB, Scripted(broken))
    owner.start()
    told = _all(owner)
    assert isinstance(told[-1], SessionFailed) and "a defect" in told[-1].detail


def test_that_an_owner_that_was_never_started_can_be_cancelled():
    owner = JobHandle(_JOB, Scripted(_forever))
    assert not owner.join(0)
    owner.cancel()
    assert owner.join(30)


@pytest.mark.expects_log("recording of .* failed")
def test_that_a_fault_that_lasts_is_told_once_and_the_run_goes_on(tmp_path):
    experiment = Experiment.from_dict({"dataset": {"name": "moons"}, "model": {"name": "mlp"}})
    with Store.open(tmp_path) as store:
        writer = store.begin([experiment], "thread")
        writer._connection.execute("PRAGMA query_only = ON")
        blocks = [_block(1 + 2000 * number, 2000) for number in range(100)]
        owner = JobHandle(_JOB, Scripted(lambda inbox: iter([*blocks, SessionEnded()])), writer)
        owner.start()
        told = _all(owner)
        complaints = [event for event in told if isinstance(event, NotRecorded)]
        assert (
            len(complaints) == 1
            and "not recorded" in complaints[0].words
            and "cannot be written" in complaints[0].words
        )
        assert [event for event in told if not isinstance(event, NotRecorded)] == [
            *blocks,
            SessionEnded(),
        ]
        assert store.run(owner.run_ids[0]).status == "interrupted"


@pytest.mark.expects_log("recording of .* failed")
@pytest.mark.parametrize(
    "end", [lambda owner: owner.send(Stop()), lambda owner: owner.cancel()], ids=["stop", "cancel"]
)
def test_that_a_run_that_waits_for_room_can_be_ended(tmp_path, end):
    experiment = Experiment.from_dict({"dataset": {"name": "moons"}, "model": {"name": "mlp"}})
    with Store.open(tmp_path) as store:
        writer = store.begin([experiment], "thread")
        writer._connection.execute("PRAGMA max_page_count = 1")
        owner = JobHandle(_JOB, Scripted(_forever), writer)
        owner.start()
        told: list[Event] = []
        while not any(isinstance(event, RecordingHeld) for event in told):
            assert owner.wait(30)
            told += owner.drain()
        waiting = next(event for event in told if isinstance(event, RecordingHeld))
        assert "is full: the run waits" in waiting.words
        assert not owner.join(0.5) and owner.drain() == [], "nothing happens while it waits"
        end(owner)
        assert owner.join(30)
        told = owner.drain()
        assert next(event.words for event in told if isinstance(event, NotRecorded)).endswith(
            "on another disk."
        )
        assert isinstance(told[-1], SessionEnded)
        assert store.run(owner.run_ids[0]).status == "interrupted"


@pytest.mark.parametrize("hangs", [False, True])
def test_that_cancel_ends_a_run_in_a_worker_within_three_seconds(
    tmp_path, doomed_pool, endless, hangs
):
    worker = doomed_pool.take()
    doomed_pool.give_back(worker)
    with Store.open(tmp_path) as store:
        writer = store.begin([Experiment.from_toml(endless.experiments[0])], "process")
        owner = JobHandle(endless, ProcessRunner(doomed_pool), writer, capacity=8)
        owner.start()
        while not any(isinstance(event, SeriesBlock) for event in owner.drain()):
            assert owner.wait(30)
        if hangs:
            os.kill(worker.pid, signal.SIGSTOP)
        owner.cancel()
        assert owner.join(3.0)
        record = store.run(owner.run_ids[0])
        assert worker.alive != hangs
        if hangs:
            assert record.status == "interrupted" and "did not stop" in record.reason
            assert isinstance(owner.drain()[-1], SessionFailed)
        else:
            assert record.status == "stopped"


def test_that_training_is_recorded_before_it_is_told(tmp_path):
    experiment = Experiment.from_dict(
        {"dataset": {"name": "moons"}, "model": {"name": "mlp"}, "budget": {"steps": 50}}
    )
    owner = train([experiment, experiment, experiment], store=tmp_path)
    assert owner.runner == "thread"
    told = _all(owner)
    assert isinstance(told[0], SessionStarted)
    ended = {event.run: event for event in told if isinstance(event, RunEnded)}
    with Store.open_readonly(tmp_path) as store:
        for place, run in enumerate(owner.run_ids):
            record = store.run(run)
            assert (record.status, record.steps, record.place) == ("finished", 50, place)
            assert record.theta_sha256 == ended[place].theta_sha256
            assert len(store.series(run)["batch_loss"].steps) == 50
    assert len(owner.run_ids) == 3


def test_that_a_run_that_is_not_recorded_needs_no_store(tmp_path):
    experiment = Experiment.from_dict(
        {"dataset": {"name": "moons"}, "model": {"name": "mlp"}, "budget": {"steps": 20}}
    )
    owner = train([experiment])
    assert owner.run_ids == () and isinstance(_all(owner)[-1], SessionEnded)


def test_that_a_failed_start_is_recorded_and_can_be_resumed(tmp_path):
    good = Experiment.from_dict(
        {"dataset": {"name": "moons"}, "model": {"name": "mlp"}, "budget": {"steps": 20}}
    )
    other = good.with_value("budget.steps", 30)
    owner = train([good, other], store=tmp_path)
    assert "differs" in _all(owner)[-1].message
    with Store.open(tmp_path) as store:
        record = store.run(owner.run_ids[0])
        assert record.status == "failed" and "differs" in record.reason and record.resumable
    again = resume(owner.run_ids[:1], store=tmp_path)
    assert isinstance(_all(again)[-1], SessionEnded)
