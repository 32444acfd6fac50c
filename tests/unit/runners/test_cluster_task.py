"""A job on a cluster, seen from here: attempts, messages, and signs of life; without any cluster."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from optlab.runners import job_watch
from optlab.runners.cluster import task as cluster_task
from optlab.runners.cluster.task import ClusterTask
from optlab.runners.job_watch import OVERDUE_SECONDS, SETUP_SECONDS, JobWatch
from optlab.runners.notices import JobProgress, StepOverdue, WorkerSilent


class Loop:
    """Executes at once what is to be executed in the loop."""

    def start(self, function: Any, *arguments: Any) -> None:
        asyncio.run(function(*arguments))


class Client:
    """Notes what is sent to workers; ``reachable`` is whether they confirm it."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, list[str]]] = []
        self.reachable = True

    async def run(
        self, function: Any, key: str, attempt: str, first: int, messages: list[str], **options: Any
    ):
        (worker,) = options["workers"]
        self.sent.append((worker, attempt, messages))
        if not self.reachable:
            raise OSError("no route to host")
        return {worker: first + len(messages)}


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def task(client, clock) -> ClusterTask:
    return ClusterTask(Loop(), client, lambda: "")


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    now = SimpleNamespace(seconds=100.0)
    fake = SimpleNamespace(monotonic=lambda: now.seconds)
    monkeypatch.setattr(cluster_task, "time", fake)
    monkeypatch.setattr(job_watch, "time", fake)
    return now


def report(attempt: str, step: int = 1, worker: str = "tcp://a:1") -> dict[str, Any]:
    return {"attempt": attempt, "worker": worker, "step": step, "steps": 9, "paused": False}


def test_that_messages_wait_for_the_job_and_are_sent_once(client, task):
    task.send(["one"])
    assert client.sent == []
    task.hear(report("x"))
    task.send(["one"])
    task.send(["one"])
    task.send(["one", "two"])
    assert client.sent == [("tcp://a:1", "x", ["one"]), ("tcp://a:1", "x", ["two"])]


def test_that_another_attempt_receives_all_messages_and_the_former_is_not_heard(client, task):
    task.hear(report("x"))
    task.send(["one"])
    task.hear(report("y", 2, "tcp://b:1"))
    task.hear(report("x", 5))
    assert task.report()["attempt"] == "y"
    task.send(["one", "two"])
    assert client.sent[1:] == [("tcp://b:1", "y", ["one", "two"])]


def test_that_a_message_that_is_not_confirmed_is_sent_again(client, task):
    task.hear(report("x"))
    client.reachable = False
    task.send(["one"])
    client.reachable = True
    task.send(["one"])
    task.send(["one"])
    assert len(client.sent) == 2


def test_that_only_the_death_of_the_jobs_own_worker_counts(task):
    task.lose("tcp://a:1", expected=False)
    task.hear(report("x"))
    task.lose("tcp://b:1", expected=False)
    assert task.deaths == [] and task.report()
    task.lose("tcp://a:1", expected=False)
    assert task.deaths == ["tcp://a:1"] and not task.report()
    task.hear(report("x"))
    assert not task.report()
    task.hear(report("y"))
    task.lose("tcp://a:1", expected=True)
    assert task.deaths == ["tcp://a:1"] and not task.report()


def test_that_silence_counts_while_the_job_is_in_progress(task, clock):
    def passing(seconds: int) -> float:
        for _ in range(seconds):
            clock.seconds += 1.0
            task.silence()
        return task.silence()

    assert passing(20) == 0.0
    task.hear(report("x"))
    assert passing(3) == 0.0
    assert passing(7) == pytest.approx(7.0)
    task.hear(report("x"))
    assert task.silence() == 0.0
    # Whoever looks may have been suspended itself.
    clock.seconds += 1000.0
    assert task.silence() == 0.0
    assert passing(10) > 5.0
    task.lose("tcp://a:1", expected=False)
    assert passing(10) == 0.0


def test_that_a_silent_worker_of_a_cluster_is_noticed(task, clock):
    watch = JobWatch(SimpleNamespace(silence=task.silence, suspended=lambda: ""), training=True)
    task.hear(report("x"))
    seen = []
    for _ in range(10):
        clock.seconds += 1.0
        seen += watch.look()
    assert [type(notice) for notice in seen] == [WorkerSilent]


@pytest.mark.parametrize("waits", [True, False])
def test_that_progress_is_a_sign_of_life_and_its_absence_is_noticed(clock, waits):
    watch = JobWatch(SimpleNamespace(silence=lambda: 0.0, suspended=lambda: ""), training=True)

    def looked(seconds: int, notice: JobProgress | None = None) -> list[type]:
        seen = []
        for second in range(seconds):
            clock.seconds += 1.0
            if notice is not None and second % 10 == 0:
                watch.on_event(notice)
                watch.on_delivered()
            seen += [type(each) for each in watch.look()]
        return seen

    going = JobProgress(0.0 if waits else 0.5, "")
    assert looked(200, going) == []
    limit = SETUP_SECONDS if waits else OVERDUE_SECONDS
    assert looked(int(limit) - 12) == []
    assert looked(24) == [StepOverdue]
