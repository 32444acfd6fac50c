"""Snapshots: whole or not at all, verified, and not too many."""

from __future__ import annotations

import os

import numpy as np
import pytest
from safetensors.numpy import load_file

from optlab.core.errors import StoreError


@pytest.fixture
def writer(store, experiment, source):
    opened = store.begin([experiment], "thread")
    opened.record(source().started())
    yield opened
    opened.close()


def test_that_a_snapshot_comes_back_as_it_was(home, store, writer, source):
    asked = source().snapshot(40, "asked")
    writer.record(source().kept(40, "asked"))
    found = store.latest_snapshot(writer.run_ids[0])
    assert found is not None
    np.testing.assert_array_equal(found.theta, asked.theta)
    assert found.theta.dtype == np.float32 and found.theta_sha256 == asked.theta_sha256
    assert (
        set(found.state) == {"v", "count"}
        and found.state["count"].shape == ()
        and found.state["count"] == 40
    )
    assert (found.step, found.seconds, found.reason) == (40, 0.04, "asked")
    assert found.values == {"optimizer.lr": 0.02} and found.memory == {"best": float("inf")}
    # Anyone's safetensors reads the file.
    file = home / "snapshots" / writer.run_ids[0] / "40-asked.safetensors"
    np.testing.assert_array_equal(load_file(file)["theta"], asked.theta)


def test_that_of_checkpoints_the_newest_two_are_kept_and_of_the_others_all(
    home, store, writer, source, monkeypatch
):
    monkeypatch.setattr("optlab.store.writer.CHECKPOINT_SHARE", 1e9)
    for step, reason in [
        (0, "start"),
        (10, "checkpoint"),
        (15, "asked"),
        (20, "checkpoint"),
        (25, "paused"),
        (30, "checkpoint"),
        (35, "end"),
    ]:
        writer.record(source().kept(step, reason))
    writer.record(source().kept(36, "last_finite"))
    run = writer.run_ids[0]
    kept = [(record.step, record.reason) for record in store.snapshots(run)]
    assert kept == [
        (0, "start"),
        (15, "asked"),
        (20, "checkpoint"),
        (25, "paused"),
        (30, "checkpoint"),
        (35, "end"),
        (36, "last_finite"),
    ]
    assert sorted(path.name for path in (home / "snapshots" / run).iterdir()) == sorted(
        record.file for record in store.snapshots(run)
    )


def test_that_checkpoints_which_take_long_come_less_often(store, writer, source, monkeypatch):
    monkeypatch.setattr("optlab.store.writer.CHECKPOINT_SHARE", 1e-9)
    writer.record(source().kept(10))
    writer.record(source().kept(20))
    assert [record.step for record in store.snapshots(writer.run_ids[0])] == [10]


def test_that_the_second_pause_at_a_step_replaces_the_first(home, store, writer, source):
    for _ in range(3):
        writer.record(source().kept(10, "paused"))
    run = writer.run_ids[0]
    assert len(store.snapshots(run)) == 1 and len(list((home / "snapshots" / run).iterdir())) == 1
    assert store.load_snapshot(store.snapshots(run)[0]).step == 10


def test_that_a_kill_before_the_rename_leaves_the_snapshots_as_they_were(
    home, store, writer, experiment, source, monkeypatch
):
    writer.record(source().block(1, 10))
    writer.record(source().kept(10, "asked"))
    run = writer.run_ids[0]

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        with pytest.raises(Killed):
            writer.record(source().kept(20, "asked"))
    assert [
        path.name for path in (home / "snapshots" / run).iterdir() if path.suffix == ".part"
    ] == ["20-asked.safetensors.part"]
    assert store.latest_snapshot(run).step == 10
    writer.close()
    # What the kill left is removed when the run goes on.
    resumed = store.resume([run])
    assert [path.name for path in (home / "snapshots" / run).iterdir()] == ["10-asked.safetensors"]
    resumed.close()


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_that_a_damaged_snapshot_is_an_error_and_resuming_takes_the_one_before(
    home, store, writer, source, damage
):
    writer.record(source().kept(10, "asked"))
    writer.record(source().kept(20, "asked"))
    run = writer.run_ids[0]
    path = home / "snapshots" / run / "20-asked.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(data if damage == "flip" else data[:-3])
    with pytest.raises(StoreError, match=rf"{run}: the snapshot of step 20"):
        store.latest_snapshot(run)
    writer.close()
    resumed = store.resume([run])
    assert resumed.snapshots is not None and resumed.snapshots[0].step == 10
    resumed.close()
