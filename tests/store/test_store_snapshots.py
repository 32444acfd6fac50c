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


MOMENTS = [
    (0, "start"),
    *((step, "checkpoint") for step in range(10, 410, 10)),
    (215, "asked"),
    (225, "changed"),
    (410, "end"),
]


@pytest.fixture
def small(store, experiment, source, monkeypatch):
    """A writer whose runs may keep the bytes of eleven snapshots of these."""
    monkeypatch.setattr("optlab.store.writer.CHECKPOINT_SHARE", 1e9)
    sample = store.begin([experiment], "thread")
    sample.record(source().kept(100, "checkpoint"))
    (size,) = (record.bytes for record in store.snapshots(sample.run_ids[0]))
    sample.close()
    store.snapshot_bytes = 11 * size + size // 2
    opened = store.begin([experiment], "thread")
    yield opened
    opened.close()


def test_that_snapshots_are_kept_evenly_within_the_budget_of_bytes(home, store, small, source):
    for step, reason in sorted(MOMENTS):
        small.record(source().kept(step, reason))
    run = small.run_ids[0]
    kept = store.snapshots(run)
    at = [(record.step, record.reason) for record in kept]
    assert len(kept) == 11
    assert {(0, "start"), (215, "asked"), (225, "changed"), (410, "end")} <= set(at)
    steps = [step for step, reason in at if reason in ("start", "checkpoint", "end")]
    gaps = np.diff(steps)
    # The newest two stay in any case, and what is fixed stands between the others.
    assert max(gaps) <= 100 and min(gaps[:-2]) >= 30
    assert sorted(path.name for path in (home / "snapshots" / run).iterdir()) == sorted(
        record.file for record in kept
    )
    for record in kept:
        assert store.load_snapshot(record).step == record.step


def test_that_a_resumed_run_goes_on_thinning_what_it_had(store, small, source):
    for step, reason in sorted(MOMENTS)[:30]:
        small.record(source().kept(step, reason))
    small.close()
    resumed = store.resume(small.run_ids)
    for step in range(500, 900, 50):
        resumed.record(source().kept(step))
    kept = store.snapshots(resumed.run_ids[0])
    resumed.close()
    assert len(kept) == 11 and kept[0].step == 0 and kept[-1].step == 850


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
