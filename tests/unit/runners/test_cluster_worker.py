"""A worker of a cluster: a job as it travels, and what makes the worker refuse it."""

from __future__ import annotations

import io
import json
import pickle  # noqa: TID251 - Dask pickles what is sent, and this looks at it
import pickletools
from pathlib import Path

import numpy as np
import pytest

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.runners import ThreadRunner, TrainJob
from optlab.runners.cluster import runner as cluster
from optlab.runners.cluster import worker as cluster_worker
from optlab.tasks.preview import PreviewTask
from optlab.training.control import Inbox, SetValue, Stop, SwitchInstrument
from optlab.training.events import RunEnded, SnapshotTaken

from .conftest import experiment


def table(folder: Path, rows: int = 40) -> Path:
    path = folder / "table.csv"
    lines = [f"{n / 7:.6f},{(n * n % 11) / 3:.6f},{n % 2}" for n in range(rows)]
    path.write_text("\n".join(["a,b,label", *lines]) + "\n", encoding="utf-8")
    return path


def reading(path: Path) -> TrainJob:
    dataset = {"name": "csv_file", "path": str(path), "target": "label"}
    return TrainJob(
        (Experiment.from_dict({"dataset": dataset, "model": {"name": "mlp"}}).to_toml(),)
    )


def test_that_a_job_travels_as_texts_numbers_and_arrays_and_arrives_as_it_was(short):
    taken = [
        event.snapshot
        for event in ThreadRunner().events(short, Inbox())
        if isinstance(event, SnapshotTaken)
    ]
    log = (
        (250, SetValue("optimizer.lr", 0.1 + 0.2)),
        (260, SwitchInstrument("margins", {"every": 3})),
    )
    job = TrainJob((experiment(300).to_toml(),), (taken[-1],), log)
    data = pickle.dumps(cluster_worker.parcel(job))
    named = {
        f"{module}.{name}" for module, name in _globals(data) if not module.startswith("numpy")
    }
    assert named == {"optlab.runners.cluster.worker.Parcel"}
    arrived = cluster_worker._opened(pickle.loads(data))  # noqa: S301 - our own bytes
    assert (arrived.experiments, arrived.log) == (job.experiments, job.log)
    np.testing.assert_array_equal(arrived.snapshots[0].theta, taken[-1].theta)
    assert arrived.snapshots[0].state.keys() == taken[-1].state.keys()
    ends = [
        next(event for event in ThreadRunner().events(each, Inbox()) if isinstance(event, RunEnded))
        for each in (job, arrived)
    ]
    assert ends[0].theta_sha256 == ends[1].theta_sha256 != taken[-1].theta_sha256


def _globals(data: bytes) -> set[tuple[str, str]]:
    found = set()

    class Looking(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            found.add((module, name))
            return super().find_class(module, name)

    assert any(True for _ in pickletools.genops(data))
    Looking(io.BytesIO(data)).load()
    return found


@pytest.mark.parametrize("name", ["optlab", "torch", "numpy", "python", "distributed"])
def test_that_other_versions_are_refused_and_named(monkeypatch, short, name):
    sent = cluster_worker.parcel(short)
    there = {**cluster_worker.versions(), name: "0.1"}
    monkeypatch.setattr(cluster_worker, "versions", lambda: there)
    with pytest.raises(InvalidInput) as caught:
        cluster_worker._opened(sent)
    assert f"has {name} 0.1, but here is {name} " in str(caught.value)
    assert "same bits" in str(caught.value)


def test_that_equal_versions_are_no_difference():
    assert cluster_worker.difference(cluster_worker.versions(), cluster_worker.versions()) == ""
    assert "torch (none)" in cluster_worker.difference({"torch": "2"}, {})


def test_that_a_job_is_accepted_where_its_files_are_the_same(tmp_path):
    job = reading(table(tmp_path))
    assert cluster_worker._opened(cluster_worker.parcel(job)).experiments == job.experiments


def test_that_a_file_that_is_another_one_there_is_refused(tmp_path):
    path = table(tmp_path)
    sent = cluster_worker.parcel(reading(path))
    path.write_text(path.read_text().replace("1.714286", "1.714287"), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"table\.csv is another file here .*same path"):
        cluster_worker._opened(sent)
    path.unlink()
    with pytest.raises(InvalidInput, match=r"table\.csv cannot be read: No such file"):
        cluster_worker._opened(sent)


def test_that_a_missing_file_is_noticed_before_anything_is_sent(tmp_path):
    path = table(tmp_path)
    job = reading(path)
    path.unlink()
    with pytest.raises(InvalidInput, match=r"table\.csv"):
        cluster._sendable(job)


def test_that_a_task_that_does_not_train_is_refused():
    with pytest.raises(InvalidInput, match="A cluster trains only; PreviewTask"):
        cluster._sendable(PreviewTask({"name": "moons"}))


def test_that_code_of_the_users_own_is_refused_with_what_to_do(monkeypatch, short):
    monkeypatch.setattr(cluster, "own_parts", lambda job: ("model.name is 'own.net'",))
    with pytest.raises(InvalidInput) as caught:
        cluster._sendable(short)
    assert "own.net" in str(caught.value) and "--runner process" in str(caught.value)


def test_that_a_message_that_is_sent_twice_arrives_once(monkeypatch):
    execution = cluster_worker._Execution("job")
    monkeypatch.setitem(cluster_worker._EXECUTIONS, "job", execution)
    sent = [
        json.dumps({"type": "SetValue", "path": "optimizer.lr", "value": v, "run": None})
        for v in (0.1, 0.2)
    ]
    assert cluster_worker.receive("job", execution.attempt, 0, sent) == 2
    assert cluster_worker.receive("job", execution.attempt, 0, sent) == 2
    assert cluster_worker.receive("job", execution.attempt, 1, [sent[1], '{"type": "Stop"}']) == 3
    assert [type(message) for message in execution.inbox.receive(0)] == [SetValue, SetValue, Stop]


def test_that_a_message_for_another_attempt_does_not_arrive(monkeypatch):
    execution = cluster_worker._Execution("job")
    monkeypatch.setitem(cluster_worker._EXECUTIONS, "job", execution)
    assert cluster_worker.receive("job", "former", 0, ['{"type": "Stop"}']) == 0
    assert cluster_worker.receive("other", execution.attempt, 0, ['{"type": "Stop"}']) == 0
    assert execution.inbox.receive(0) == []
