"""A cluster that others have started, and what happens when parts of it die."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from distributed import Security
from distributed.utils import offload

from optlab.core.errors import OptLabError
from optlab.core.spawning import template_ids
from optlab.experiment import Experiment
from optlab.runners import (
    JobHandle,
    ThreadRunner,
    TrainJob,
)
from optlab.runners.cluster import connection as cluster_connection
from optlab.runners.cluster import runner as cluster
from optlab.runners.cluster import worker as cluster_worker
from optlab.runners.cluster.connection import ClusterConnection, connect
from optlab.runners.cluster.loop import LoopThread
from optlab.runners.cluster.runner import ClusterRunner
from optlab.runners.notices import JobProgress
from optlab.runners.study import ClusterLauncher, LocalLauncher
from optlab.store import Store
from optlab.studies.comparison import reading
from optlab.studies.comparison.conduct import Launcher, StudyEnded, conduct
from optlab.studies.comparison.study import Study
from optlab.training.control import Inbox, Stop
from optlab.training.events import (
    Event,
    RunEnded,
    SeriesBlock,
    SessionEnded,
    SessionFailed,
    SessionStarted,
)


@pytest.fixture(autouse=True, scope="module")
def _offload() -> None:
    """Start the thread for large messages that Dask keeps until the process ends."""
    loop = LoopThread()
    loop.call(offload, int)
    loop.close()


class Machines:
    """A scheduler and workers, each a process as ``dask scheduler`` and ``dask worker`` start it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._file = folder / "scheduler.json"
        self._tls = ("--protocol", "tls") if options else ()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--port", "0", *self._tls)

    def _start(self, kind: str, *words: str) -> subprocess.Popen[bytes]:
        common = ("--scheduler-file", str(self._file), "--no-dashboard", "--host", "127.0.0.1")
        places = ("--dashboard-address", "127.0.0.1:0")
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", kind, *common, *places, *words, *self._options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        self.processes.append(process)
        return process

    @property
    def address(self) -> str:
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError, ValueError):
                return str(json.loads(self._file.read_text(encoding="utf-8"))["address"])
            assert time.monotonic() < until and self.scheduler.poll() is None
            time.sleep(0.05)

    def worker(self, count: int = 1) -> None:
        for _ in range(count):
            self._start(
                "worker",
                *("--nthreads", "1", "--no-nanny", "--local-directory", str(self._folder)),
                *self._tls,
            )

    def connected(self, slots: int) -> ClusterConnection:
        until = time.monotonic() + 60
        while True:
            try:
                connection = connect(self.address)
            except OptLabError:
                assert time.monotonic() < until
                continue
            if connection.slots >= slots:
                return connection
            connection.close()
            assert time.monotonic() < until

    def kill(self, pid: int) -> None:
        (process,) = [process for process in self.processes if process.pid == pid]
        process.kill()
        process.wait()

    def end(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    started = Machines(tmp_path)
    yield started
    started.end()


def experiment(steps: int, **sections: object) -> Experiment:
    tables = {
        "dataset": {"name": "moons", "size": 200},
        "model": {"name": "mlp"},
        "optimizer": {"name": "adam"},
        "budget": {"steps": steps},
    }
    return Experiment.from_dict({**tables, **sections})


def job(steps: int) -> TrainJob:
    return TrainJob((experiment(steps).to_toml(),))


def ended(events: Sequence[Event]) -> RunEnded:
    (end,) = [event for event in events if isinstance(event, RunEnded)]
    return end


def pids(connection: ClusterConnection) -> dict[str, int]:
    """The process of each worker, by its address."""
    asked = functools.partial(connection._client.run, os.getpid, on_error="ignore")
    return connection._loop.call(asked)


def place(event: Event) -> str:
    """The address of the worker that a notice of progress names."""
    found = (
        re.search(r"Step .* on (\S+)\.$", event.words) if isinstance(event, JobProgress) else None
    )
    return found[1] if found else ""


def refused(address: str, **options: bool) -> str:
    began = time.monotonic()
    with pytest.raises(OptLabError) as caught:
        connect(address, **options)
    assert time.monotonic() - began < 15
    message = str(caught.value)
    assert "\n" not in message and "Traceback" not in message
    return message


def test_that_a_job_whose_worker_is_killed_half_way_gives_the_same_numbers(machines, tmp_path):
    machines.worker(2)
    with machines.connected(2) as connection, Store.open(tmp_path / "home") as store:
        writer = store.begin([experiment(2500)], "cluster")
        handle = JobHandle(TrainJob(writer.experiments), ClusterRunner(connection), writer)
        handle.start()
        received: list[Event] = []
        places: list[str] = []
        killed = False
        while handle.wait(60) and (events := handle.drain()):
            received += events
            places += [where for where in map(place, events) if where]
            if places and not killed:
                killed = True
                machines.kill(pids(connection)[places[0]])
        assert handle.join(60) and connection.slots == 1
        assert len(set(places)) == 2, "it was in progress on both workers, one after the other"
        here = list(ThreadRunner().events(job(2500), Inbox()))
        proper = [event for event in received if not isinstance(event, JobProgress)]
        assert sum(isinstance(event, SessionStarted) for event in proper) == 1
        assert isinstance(proper[-1], SessionEnded)
        assert ended(received).theta_sha256 == ended(here).theta_sha256
        assert ended(received).final == ended(here).final
        (run,) = handle.run_ids
        losses = store.series(run)["batch_loss"]
        np.testing.assert_array_equal(losses.steps, np.arange(1, 2501))
        parts = [event.series["batch_loss"] for event in here if isinstance(event, SeriesBlock)]
        np.testing.assert_array_equal(
            losses.values.ravel(), np.concatenate([part.values for part in parts]).ravel()
        )
        assert store.run(run).status == "finished"


class KillingLauncher(ClusterLauncher):
    """Kills the worker of the first population that is seen to be half-way."""

    def __init__(self, machines: Machines, *given: Any) -> None:
        super().__init__(*given)
        self.machines = machines
        self.killed: list[str] = []
        self.places: list[str] = []

    def start(self, experiments: Sequence[Experiment]) -> JobHandle:
        handle = super().start(experiments)
        drain = handle.drain

        def watched() -> list[Event]:
            events = drain()
            self.places += [where for where in map(place, events) if where]
            if self.places and not self.killed:
                self.killed.append(self.places[0])
                self.machines.kill(pids(self._connection)[self.places[0]])
            return events

        handle.drain = watched
        return handle


STUDY = """
question = "Does a larger rate lower the loss?"
[base]
dataset = { name = "moons", size = 200 }
model = { name = "mlp" }
optimizer = { name = "adam" }
budget = { steps = 1500 }
[arms.slow]
optimizer.lr = 0.0001
[arms.fast]
optimizer.lr = 0.01
[seeds]
count = 4
[measure]
of = "train_loss"
[decide]
statement = "fast < slow"
"""


def decided(store: Store, study: Study, launcher: Launcher) -> tuple[object, list[str]]:
    """What a study found, and the hash of the parameters of each of its runs."""
    *_, ending = conduct(study, store, launcher, Inbox())
    assert isinstance(ending, StudyEnded) and ending.result is not None, ending
    result = ending.result.document()
    runs = [run for arm in result["arms"].values() for run in arm.pop("runs")]
    result.pop("seconds")
    return result, [store.run(run).theta_sha256 for run in runs]


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_that_a_study_whose_worker_is_killed_half_way_decides_the_same(machines, tmp_path):
    study = reading.from_toml(STUDY, tmp_path)
    machines.worker(2)
    with machines.connected(2) as connection, Store.open(tmp_path / "home") as store:
        launcher = KillingLauncher(machines, store, connection, study)
        there, hashes = decided(store, study, launcher)
        assert len(launcher.killed) == 1 and connection.slots == 1
        assert launcher.places.count(launcher.killed[0]) < len(launcher.places)
        local = LocalLauncher(store, "thread", study)
        assert decided(store, study, local) == (there, hashes)
    assert there["verdict"] == "supported"
    assert len(set(hashes)) == 8 and all(hashes)


def test_that_the_death_of_the_scheduler_ends_every_job_with_one_sentence(
    machines, tmp_path, capfd
):
    machines.worker(2)
    with machines.connected(2) as connection, Store.open(tmp_path / "home") as store:
        finished = JobHandle(
            job(20), ClusterRunner(connection), store.begin([experiment(20)], "cluster")
        )
        finished.start()
        assert finished.join(60)
        handles = [
            JobHandle(
                job(10**9), ClusterRunner(connection), store.begin([experiment(10**9)], "cluster")
            )
            for _ in range(3)
        ]
        for handle in handles:
            handle.start()
        began: set[str] = set()
        while len(began) < 2:
            for handle in handles:
                handle.wait(0.1)
                began |= {where for where in map(place, handle.drain()) if where}
        machines.kill(machines.scheduler.pid)
        for handle in handles:
            assert handle.join(15)
            failures = [event for event in handle.drain() if isinstance(event, SessionFailed)]
            assert [event.message for event in failures] == [connection.lost]
            assert failures[0].detail == ""
            assert store.run(handle.run_ids[0]).reason == connection.lost
        assert "is lost" in connection.lost and "finished runs are kept" in connection.lost
        assert store.run(finished.run_ids[0]).status == "finished"
        (late,) = ClusterRunner(connection).events(job(20), Inbox())
        assert isinstance(late, SessionFailed) and late.message == connection.lost
        assert connection.slots == 2
    # The workers notice it, too, although a job without an end is in progress on each.
    for process in machines.processes[1:]:
        process.wait(60)
    assert capfd.readouterr() == ("", "")


@pytest.mark.soak
def test_that_a_job_that_waits_for_a_worker_starts_when_one_comes(machines):
    machines.worker()
    with machines.connected(1) as connection:
        (pid,) = pids(connection).values()
        machines.kill(pid)
        events: list[Event] = []
        for event in ClusterRunner(connection).events(job(20), Inbox()):
            events.append(event)
            if len(events) == 1:
                assert "free worker" in event.words
                machines.worker()
        assert ended(events).status == "finished"


@pytest.mark.soak
def test_that_a_job_that_ends_its_workers_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")
    machines = Machines(tmp_path)
    try:
        machines.worker(2)
        with machines.connected(2) as connection:
            monkeypatch.setattr(cluster_worker, "execute", _die)
            *_, failed = ClusterRunner(connection).events(job(20), Inbox())
    finally:
        machines.end()
    assert isinstance(failed, SessionFailed) and failed.detail == ""
    assert failed.message.startswith("2 workers ended") and "memory" in failed.message


def _die(key: str, topic: str, sent: cluster_worker.Parcel) -> None:
    os._exit(1)


# Dask sends a function of the main program by its code: no worker knows this file.
_die.__module__ = "__main__"


@pytest.mark.soak
def test_that_a_job_is_given_up_after_some_deaths_and_its_neighbor_is_not(monkeypatch):
    monkeypatch.setattr(cluster, "MAX_DEATHS", 1)
    with connect("local:2") as connection:
        handles = [JobHandle(job(10**9), ClusterRunner(connection)) for _ in range(2)]
        for handle in handles:
            handle.start()
        bad, good = handles
        received: list[Event] = []
        killed: set[int] = set()
        while bad.wait(60) and (events := bad.drain()):
            received += events
            where = next(filter(None, map(place, reversed(events))), "")
            pid = pids(connection).get(where)
            if pid is not None and pid not in killed:
                os.kill(pid, 9)
                killed.add(pid)
        assert len(killed) == 2 and good.alive
        last = received[-1]
        assert isinstance(last, SessionFailed) and last.message.startswith("2 workers ended")
        good.send(Stop())
        assert good.join(60) and ended(good.drain()).status == "stopped"


TRAIN_FOR_EVER = """
import sys, time
from optlab.experiment import Experiment
from optlab.runners import TrainJob
from optlab.runners.cluster.runner import ClusterRunner
from optlab.runners.cluster.connection import connect
from optlab.training.control import Inbox

tables = {"dataset": {"name": "moons"}, "model": {"name": "mlp"}, "budget": {"steps": 10**9}}
job = TrainJob((Experiment.from_dict(tables).to_toml(),))
with connect(sys.argv[1]) as connection:
    for event in ClusterRunner(connection).events(job, Inbox()):
        print(event.words, flush=True)
"""


@contextlib.contextmanager
def _training(address: str) -> Iterator[psutil.Process]:
    """A program that trains on a cluster, and is killed at the end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", TRAIN_FOR_EVER, address],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as program:
        assert program.stdout is not None
        for line in program.stdout:
            if line.startswith("Step "):
                break
            assert "cluster" in line or "set up" in line, line
        yield psutil.Process(program.pid)
        program.kill()
        assert program.wait() == -9


@pytest.mark.soak
def test_that_no_worker_outlives_a_program_that_is_killed():
    with _training("local:1") as program:
        family = program.children(recursive=True)
        assert len(family) >= 2
    assert not psutil.wait_procs(family, timeout=30)[1]


@pytest.mark.soak
def test_that_a_worker_stops_the_job_of_a_program_that_is_killed(machines):
    machines.worker()
    machines.connected(1).close()
    with _training(machines.address):
        pass
    with connect(machines.address) as connection:
        events = list(ClusterRunner(connection).events(job(20), Inbox()))
    assert ended(events).status == "finished"


def test_that_other_versions_are_refused_at_once(machines, monkeypatch):
    machines.worker()
    machines.connected(1).close()
    here = cluster_worker.versions()
    monkeypatch.setattr(cluster_worker, "versions", lambda: {**here, "torch": "0.4.1"})
    message = refused(machines.address)
    assert f"has torch {here['torch']}, but here is torch 0.4.1" in message
    assert "same bits" in message


def test_that_another_processor_is_noted(machines, monkeypatch):
    machines.worker()
    machines.connected(1).close()
    monkeypatch.setattr(cluster_worker, "machine", lambda: "m68k with FPU")
    with connect(machines.address) as connection:
        (note,) = connection.notes
        assert "m68k with FPU" in note and "last bits" in note


def test_that_a_scheduler_without_workers_is_refused(machines):
    message = refused(machines.address)
    assert "has no workers" in message and f"dask worker {machines.address}" in message


@pytest.mark.soak
def test_that_an_unreachable_scheduler_is_refused_in_a_few_seconds():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    message = refused(f"tcp://127.0.0.1:{port}")
    assert "No Dask scheduler" in message


@pytest.mark.soak
def test_that_something_else_that_listens_is_no_scheduler():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        message = refused(f"tcp://127.0.0.1:{silent.getsockname()[1]}")
    assert "No Dask scheduler" in message


def test_that_a_scheduler_elsewhere_is_not_even_looked_for(monkeypatch):
    monkeypatch.setattr(cluster_connection, "LoopThread", lambda: pytest.fail("connected"))
    assert "--insecure" in refused("tcp://192.0.2.7:8786")
    assert "needs certificates" in refused("tls://192.0.2.7:8786")


def test_that_a_file_with_certificates_is_what_tls_takes(tmp_path):
    ours, others = (_certificates(tmp_path / name) for name in ("ours", "others"))
    (tmp_path / "dask").mkdir()
    options = [
        word
        for option, file in (("ca-file", "ca"), ("cert", "cert"), ("key", "key"))
        for word in (f"--tls-{option}", str(ours / f"{file}.pem"))
    ]
    machines = Machines(tmp_path / "dask", *options)
    try:
        machines.worker()
        for folder in (ours, others):
            (folder / "cluster.yaml").write_text(
                f"scheduler: {machines.address}\n"
                "tls:\n  ca: ca.pem\n  cert: cert.pem\n  key: key.pem\n",
                encoding="utf-8",
            )
        assert machines.address.startswith("tls://127.0.0.1:")
        until = time.monotonic() + 60
        while True:
            with (
                contextlib.suppress(OptLabError),
                connect(str(ours / "cluster.yaml")) as connection,
            ):
                assert connection.address == machines.address
                events = list(ClusterRunner(connection).events(job(20), Inbox()))
                break
            assert time.monotonic() < until
        assert ended(events).status == "finished"
        assert "certificate" in refused(str(others / "cluster.yaml"))
        (ours / "key.pem").write_text("no key", encoding="utf-8")
        assert "cannot be used" in refused(str(ours / "cluster.yaml"))
        (ours / "key.pem").unlink()
        assert "No such file" in refused(str(ours / "cluster.yaml"))
    finally:
        machines.end()


def _certificates(folder: Path) -> Path:
    folder.mkdir()
    made = Security.temporary()
    for name, text in (
        ("ca", made.tls_ca_file),
        ("cert", made.tls_client_cert),
        ("key", made.tls_client_key),
    ):
        (folder / f"{name}.pem").write_text(text, encoding="utf-8")
    return folder


def test_that_a_missing_dask_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "pip install 'optlab[cluster]'" in refused("local:2")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert "install OptLab with pip" in refused("local:2")


@pytest.mark.soak
def test_that_many_deaths_change_no_bit(tmp_path):
    """Workers of this machine die every few seconds, and are started again by their nannies."""
    draw = random.Random(3)
    steps = [600 + 100 * number for number in range(12)]
    expected = [
        ended(list(ThreadRunner().events(job(each), Inbox()))).theta_sha256 for each in steps
    ]
    with connect("local:2") as connection:
        handles = [JobHandle(job(each), ClusterRunner(connection)) for each in steps]
        for handle in handles:
            handle.start()
        deaths = 0
        while any(handle.alive for handle in handles):
            time.sleep(draw.uniform(3.0, 6.0))
            # Dask would wait for an answer of one that has just died.
            alive = [
                process
                for process in psutil.Process().children()
                if "spawn_main" in " ".join(process.cmdline()) and process.pid not in template_ids()
            ]
            if alive and deaths < 8:
                draw.choice(alive).kill()
                deaths += 1
        found = [ended(handle.drain()).theta_sha256 for handle in handles]
    assert deaths > 3 and found == expected
