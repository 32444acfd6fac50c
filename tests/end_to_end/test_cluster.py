"""A cluster of two worker processes: the same bits as here, several jobs at once, one store."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
from distributed.utils import offload

from optlab.experiment import Experiment
from optlab.runners import (
    JobHandle,
    ProcessRunner,
    ThreadRunner,
    TrainJob,
    WorkerPool,
)
from optlab.runners.cluster import worker as cluster_worker
from optlab.runners.cluster.connection import ClusterConnection, connect
from optlab.runners.cluster.runner import ClusterRunner
from optlab.runners.notices import JobProgress
from optlab.store import Store
from optlab.training.control import Inbox, Pause, SetValue, Stop
from optlab.training.events import (
    SECONDS,
    Event,
    RunEnded,
    SeriesBlock,
    SessionEnded,
    SessionFailed,
    SessionStarted,
    SnapshotTaken,
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterConnection]:
    with connect("local:2") as connection:
        # Dask keeps one thread for large messages until the process ends.
        connection._loop.call(offload, int)
        yield connection


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    opened = WorkerPool()
    opened.warm()
    yield opened
    opened.close()


def experiment(steps: int = 300, **sections: object) -> Experiment:
    tables = {
        "dataset": {"name": "moons", "size": 200},
        "model": {"name": "mlp"},
        "optimizer": {"name": "adam"},
        "budget": {"steps": steps},
    }
    return Experiment.from_dict({**tables, **sections})


def job(steps: int = 300, **sections: object) -> TrainJob:
    return TrainJob((experiment(steps, **sections).to_toml(),))


def ended(events: Sequence[Event]) -> RunEnded:
    (end,) = [event for event in events if isinstance(event, RunEnded)]
    return end


def series(events: Sequence[Event], name: str) -> np.ndarray:
    return np.concatenate(
        [
            event.series[name].values
            for event in events
            if isinstance(event, SeriesBlock) and name in event.series
        ]
    )


def drained(handle: JobHandle, seconds: float = 60) -> list[Event]:
    assert handle.join(seconds)
    return handle.drain()


def waiting(handle: JobHandle, words: str, seconds: float = 60) -> list[Event]:
    """What a job has delivered until it said these words."""
    received: list[Event] = []
    until = time.monotonic() + seconds
    while not any(words in event.words for event in received if isinstance(event, JobProgress)):
        assert time.monotonic() < until and handle.alive, received
        handle.wait(0.2)
        received += handle.drain()
    return received


@pytest.mark.parametrize(
    "tables",
    [
        {"dataset": {"name": "digits"}, "budget": {"steps": 200}},
        {"precision": "float64", "optimizer": {"name": "lbfgs"}, "budget": {"steps": 40}},
        {"dataset": {"name": "digits"}, "model": {"name": "transformer"}, "budget": {"steps": 30}},
    ],
    ids=["digits", "closures", "transformer"],
)
def test_that_thread_process_and_cluster_give_the_same_bits(cluster, pool, tables):
    asked = TrainJob((experiment(**tables).to_toml(),))
    here, there, far = (
        list(runner.events(asked, Inbox()))
        for runner in (ThreadRunner(), ProcessRunner(pool), ClusterRunner(cluster))
    )
    assert isinstance(far[-1], SessionEnded)
    hashes = {ended(events).theta_sha256 for events in (here, there, far)}
    assert len(hashes) == 1 and "" not in hashes
    assert ended(here).final == ended(far).final
    for name in ("batch_loss", "weights", "train_loss"):
        np.testing.assert_array_equal(series(here, name), series(far, name))


def test_that_jobs_run_at_once_and_are_recorded_as_those_of_a_thread(cluster, tmp_path):
    assert cluster.slots == 2 and cluster.notes == ()
    populations = [[experiment(seed=n), experiment(seed=n + 9)] for n in range(4)]
    with Store.open(tmp_path) as store:
        handles, local = [], []
        for population in populations:
            asked = TrainJob(tuple(each.to_toml() for each in population))
            writer = store.begin(population, "cluster")
            handles.append(JobHandle(asked, ClusterRunner(cluster), writer))
            handles[-1].start()
        for population in populations:
            writer = store.begin(population, "thread")
            asked = TrainJob(writer.experiments)
            local.append(JobHandle(asked, ThreadRunner(), writer))
            local[-1].start()
            assert isinstance(drained(local[-1])[-1], SessionEnded)
        for handle, twin in zip(handles, local, strict=True):
            assert isinstance(drained(handle)[-1], SessionEnded)
            for far, near in zip(handle.run_ids, twin.run_ids, strict=True):
                one, other = store.run(far), store.run(near)
                assert (one.runner, one.status) == ("cluster", "finished")
                assert one.theta_sha256 == other.theta_sha256
                assert (one.steps, one.final) == (other.steps, other.final)
                stored, twins = store.series(far), store.series(near)
                assert stored.keys() == twins.keys()
                for name in stored:
                    np.testing.assert_array_equal(stored[name].steps, twins[name].steps)
                    if name != SECONDS:
                        np.testing.assert_array_equal(stored[name].values, twins[name].values)


def test_that_two_jobs_run_side_by_side_and_a_third_waits_for_a_worker(cluster):
    handles = [JobHandle(job(10**9), ClusterRunner(cluster)) for _ in range(3)]
    where = set()
    for handle in handles[:2]:
        handle.start()
        where.add(re.findall(r"on (tls://\S+)\.", str(waiting(handle, "Step ")[-1]))[-1])
    assert len(where) == 2
    handles[2].start()
    waiting(handles[2], "waits for a free worker")
    assert handles[2]._runner.silence() == 0.0
    # It hears of a Stop although it has not begun.
    handles[2].send(Stop())
    for handle in handles[:2]:
        handle.send(Stop())
    for handle in handles:
        events = drained(handle)
        assert ended(events).status == "stopped" and isinstance(events[-1], SessionEnded)


def test_that_a_run_is_stopped_changed_and_resumed_from_its_snapshot(cluster, tmp_path):
    with Store.open(tmp_path) as store:
        writer = store.begin([experiment(10**9)], "cluster")
        asked = TrainJob(writer.experiments, None, ((50, SetValue("optimizer.lr", 0.003)),))
        handle = JobHandle(asked, ClusterRunner(cluster), writer)
        handle.start()
        waiting(handle, "Step ")
        handle.send(SetValue("optimizer.lr", 0.002))
        handle.send(Stop())
        assert ended(drained(handle)).status == "stopped"
        (run,) = handle.run_ids
        record = store.run(run)
        changes = _changes(store, run)
        assert (changes[0][0], changes[0][1].value) == (50, 0.003)
        assert [message.value for _, message in changes[1:]] == [0.002]
        assert len(store.series(run)["batch_loss"].steps) == record.steps > 50
        writer = store.resume([run], "cluster")
        further = JobHandle(
            TrainJob(writer.experiments, writer.snapshots, writer.log),
            ClusterRunner(cluster),
            writer,
        )
        further.start()
        waiting(further, "Step ")
        further.send(Stop())
        drained(further)
        resumed = store.run(run)
        assert resumed.steps > record.steps and resumed.status == "stopped"
        again = TrainJob((experiment(resumed.steps).to_toml(),), None, _changes(store, run))
        assert ended(list(ThreadRunner().events(again, Inbox()))).theta_sha256 == (
            resumed.theta_sha256
        )


def _changes(store: Store, run: str) -> tuple[tuple[int, SetValue], ...]:
    return tuple(each for each in store.controls(run) if isinstance(each[1], SetValue))


def test_that_a_paused_run_is_not_said_to_hang(cluster):
    handle = JobHandle(job(10**9), ClusterRunner(cluster))
    handle.send(Pause())
    handle.start()
    waiting(handle, ", paused")
    handle.send(Stop())
    assert ended(drained(handle)).status == "stopped"


def test_that_a_killed_job_frees_its_worker(cluster):
    handles = [JobHandle(job(10**9), ClusterRunner(cluster)) for _ in range(2)]
    for handle in handles:
        handle.start()
    for handle in handles:
        waiting(handle, "Step ")
    for handle in handles:
        handle._runner.kill()
        last = drained(handle)[-1]
        assert isinstance(last, SessionFailed) and "was ended" in last.message
    assert isinstance(list(ClusterRunner(cluster).events(job(), Inbox()))[-1], SessionEnded)


def test_that_a_job_whose_reader_has_gone_frees_its_worker(cluster):
    for _ in range(2):
        events = ClusterRunner(cluster).events(job(10**9), Inbox())
        while "Step " not in next(events).words:
            pass
        events.close()
    assert isinstance(list(ClusterRunner(cluster).events(job(), Inbox()))[-1], SessionEnded)


def test_that_invalid_input_is_told_as_by_the_other_runners(cluster):
    wrong = TrainJob(tuple(experiment(batches={"size": size}).to_toml() for size in (5, 10)))
    (here,) = ThreadRunner().events(wrong, Inbox())
    far = list(ClusterRunner(cluster).events(wrong, Inbox()))[-1]
    assert isinstance(far, SessionFailed) and far.invalid and far == here
    (unread,) = ClusterRunner(cluster).events(TrainJob(("",)), Inbox())
    assert isinstance(unread, SessionFailed) and unread.invalid
    (defect,) = ClusterRunner(cluster).events(TrainJob((None,)), Inbox())
    assert isinstance(defect, SessionFailed) and not defect.invalid and defect.detail


def test_that_a_worker_that_cannot_read_a_file_says_so(cluster, tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    path.write_text("a,label\n" + "".join(f"{n},{n % 2}\n" for n in range(40)), encoding="utf-8")
    reads = experiment(dataset={"name": "csv_file", "path": str(path), "target": "label"})
    asked = TrainJob((reads.to_toml(),))
    assert ended(list(ClusterRunner(cluster).events(asked, Inbox()))).status == "finished"
    sent = cluster_worker.parcel(asked)
    path.unlink()
    monkeypatch.setattr("optlab.runners.cluster.runner.parcel", lambda job: sent)
    (failed,) = ClusterRunner(cluster).events(asked, Inbox())
    assert isinstance(failed, SessionFailed) and failed.invalid
    assert failed.message.startswith("On the worker tls://") and "table.csv" in failed.message


def test_that_other_users_cannot_send_anything_to_the_workers(cluster):
    import socket

    listening = {
        connection.laddr
        for process in (psutil.Process(), *psutil.Process().children(recursive=True))
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening
    for address in listening:
        assert address.ip == "127.0.0.1"
        with socket.create_connection(address, timeout=10) as plain:
            plain.settimeout(2)
            try:
                # What a client without a certificate would say first, and what a browser would.
                plain.sendall(b"GET /info/main/workers.html HTTP/1.0\r\n\r\n")
                heard = plain.recv(4096)
            except OSError:
                heard = b""
        assert not heard or heard.startswith((b"HTTP/1.1 404", b"\x15\x03")), heard


def test_that_ctrl_c_is_left_to_the_command(cluster):
    (pids,) = [cluster._loop.call(cluster._client.run, os.getpid)]
    for pid in pids.values():
        blocked = re.search(
            r"SigBlk:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        )
        assert blocked is not None and int(blocked[1], 16) & 2


def test_that_a_closed_connection_ends_its_jobs_and_leaves_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = set(psutil.Process().children(recursive=True))
    connection = connect("local:1")
    handle = JobHandle(job(10**9), ClusterRunner(connection))
    handle.start()
    waiting(handle, "Step ")
    closing = threading.Thread(target=connection.close)
    closing.start()
    last = drained(handle)[-1]
    closing.join()
    connection.close()
    assert isinstance(last, SessionFailed) and "was closed" in last.message
    (late,) = ClusterRunner(connection).events(job(), Inbox())
    assert isinstance(late, SessionFailed) and "was closed" in late.message
    assert connection.slots in (0, 1)
    new = [
        process for process in psutil.Process().children(recursive=True) if process not in before
    ]
    assert not [process for process in new if "resource_tracker" not in str(process.cmdline())]
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_that_the_stream_of_a_job_has_each_event_once(cluster):
    events = list(ClusterRunner(cluster).events(job(), Inbox()))
    proper = [event for event in events if not isinstance(event, JobProgress)]
    assert isinstance(proper[0], SessionStarted) and isinstance(proper[-1], SessionEnded)
    steps = np.concatenate(
        [event.series["batch_loss"].steps for event in proper if isinstance(event, SeriesBlock)]
    )
    np.testing.assert_array_equal(steps, np.arange(1, 301))
    reasons = [event.snapshot.reason for event in proper if isinstance(event, SnapshotTaken)]
    assert reasons[0] == "start" and reasons[-1] == "end"
