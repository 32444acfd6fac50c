"""Workers: the same numbers as in a thread, reused, and mortal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import psutil
import pytest

from optlab.runners import ProcessRunner, ThreadRunner, TrainJob, WorkerPool
from optlab.runners.worker import WorkerDied
from optlab.tasks.preview import PreviewTask
from optlab.training.control import Inbox, Pause, Stop
from optlab.training.events import (
    ActivityChanged,
    RunEnded,
    SeriesBlock,
    SessionEnded,
    SessionFailed,
    SessionStarted,
    TaskResult,
)


def _idle_pid(pool: WorkerPool) -> int:
    worker = pool.acquire()
    pool.give_back(worker)
    return worker.pid


def _result(events) -> RunEnded:
    return next(event for event in events if isinstance(event, RunEnded))


def _series(events, name: str) -> np.ndarray:
    return np.concatenate(
        [
            event.series[name].values
            for event in events
            if isinstance(event, SeriesBlock) and name in event.series
        ]
    )


def test_that_thread_and_process_give_the_same_numbers_on_digits(pool):
    from optlab.experiment import Experiment

    digits = {
        "dataset": {"name": "digits"},
        "model": {"name": "mlp"},
        "optimizer": {"name": "adam"},
        "budget": {"steps": 300},
    }
    job = TrainJob((Experiment.from_dict(digits).to_toml(),))
    here = list(ThreadRunner().events(job, Inbox()))
    there = list(ProcessRunner(pool).events(job, Inbox()))
    assert isinstance(there[-1], SessionEnded)
    assert _result(here).theta_sha256 == _result(there).theta_sha256 != ""
    assert _result(here).final == _result(there).final
    for name in ("batch_loss", "weights", "train_loss"):
        np.testing.assert_array_equal(_series(here, name), _series(there, name))


def test_that_a_worker_serves_one_job_after_another(pool, short):
    pid = _idle_pid(pool)
    assert isinstance(list(ProcessRunner(pool).events(short, Inbox()))[-1], SessionEnded)
    assert isinstance(
        list(ProcessRunner(pool).events(PreviewTask({"name": "moons"}), Inbox()))[-1], TaskResult
    )
    # An error of the user says nothing against the worker.
    failed = list(ProcessRunner(pool).events(TrainJob(("",)), Inbox()))
    assert isinstance(failed[-1], SessionFailed)
    assert _idle_pid(pool) == pid


def test_that_messages_reach_a_worker_and_one_left_over_does_not_reach_its_next_job(
    pool, endless, short
):
    inbox = Inbox()
    received = []
    for event in ProcessRunner(pool).events(endless, inbox):
        received.append(event)
        if isinstance(event, SessionStarted):
            inbox.put(Pause())
        if isinstance(event, ActivityChanged):
            assert event.activity == "paused"
            inbox.put(Stop())
            inbox.put(Stop())
    assert _result(received).status == "stopped"
    assert _result(list(ProcessRunner(pool).events(short, Inbox()))).status == "finished"


def test_that_a_worker_ignores_ctrl_c(pool, short):
    pid = _idle_pid(pool)
    os.kill(pid, signal.SIGINT)
    assert isinstance(list(ProcessRunner(pool).events(short, Inbox()))[-1], SessionEnded)
    assert _idle_pid(pool) == pid


def test_that_a_worker_is_discarded_after_a_defect(doomed_pool):
    pid = _idle_pid(doomed_pool)
    failed = list(ProcessRunner(doomed_pool).events(TrainJob((None,)), Inbox()))  # type: ignore[arg-type]
    assert isinstance(failed[-1], SessionFailed) and failed[-1].detail
    assert not psutil.pid_exists(pid)


@pytest.mark.expects_log("worker process ended unexpectedly")
def test_that_the_death_of_a_worker_is_told_in_words(doomed_pool, endless):
    pid = _idle_pid(doomed_pool)
    received = []
    for event in ProcessRunner(doomed_pool).events(endless, Inbox()):
        received.append(event)
        if isinstance(event, SessionStarted):
            os.kill(pid, signal.SIGKILL)
    assert isinstance(received[-1], SessionFailed)
    assert "signal 9, SIGKILL" in received[-1].message and "memory" in received[-1].message


def test_that_events_nobody_reads_hold_the_worker_up(pool, endless):
    worker, inbox = psutil.Process(_idle_pid(pool)), Inbox()
    events = ProcessRunner(pool).events(endless, inbox)
    assert isinstance(next(events), SessionStarted)
    # It sleeps in the middle of a send once the pipe is full: its processor time stands still.
    before = -1.0
    while (now := sum(worker.cpu_times()[:2])) != before:
        before = now
        assert psutil.wait_procs([worker], timeout=0.5)[1]
    inbox.put(Stop())
    assert isinstance(list(events)[-1], SessionEnded)


def test_that_a_closed_pool_leaves_no_worker():
    pool = WorkerPool(2)
    pool.warm()
    workers = [pool.acquire(), pool.acquire()]
    for worker in workers:
        pool.give_back(worker)
    pool.close(0.1)
    assert not any(psutil.pid_exists(worker.pid) for worker in workers)
    pool.warm()
    late = pool.acquire()
    pool.give_back(late)
    assert not psutil.pid_exists(late.pid)
    with pytest.raises(WorkerDied):
        late.send(Stop())


_CHOICE = """
import sys
from optlab.runners.choice import choose
choose("auto", 0.5)
import optlab.runners
print("torch" in sys.modules, "sklearn" in sys.modules)
"""


def test_that_choosing_and_importing_runners_need_no_torch():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-c", _CHOICE], capture_output=True, text=True, check=True, env=environment
    )
    assert found.stdout.split() == ["False", "False"]
