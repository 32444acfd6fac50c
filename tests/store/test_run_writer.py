"""The writer: controls, going on with a run, and a disk that is full."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from optlab.core.errors import InvalidInput, StoreError
from optlab.store.controls import from_json, to_json
from optlab.training.control import Advance, Follow, Pause, Resume, SetValue, Stop, TakeSnapshot
from optlab.training.events import (
    ActivityChanged,
    MessageApplied,
    Series,
    SessionEnded,
    SessionFailed,
    SnapshotTaken,
)


@pytest.mark.parametrize(
    "message",
    [
        Pause(),
        Resume(),
        Advance(5),
        Stop(),
        SetValue("optimizer.lr", 0.1 + 0.2, 3),
        SetValue("a", 1),
        TakeSnapshot(),
        Follow(("w[1]",)),
    ],
)
def test_that_a_message_survives_json(message):
    assert from_json(to_json(message)) == message


@pytest.mark.parametrize(
    "document", ["", "[]", '{"type": "os.system"}', '{"type": "Pause", "extra": 1}']
)
def test_that_a_foreign_document_is_no_message(document):
    with pytest.raises(StoreError, match="damaged"):
        from_json(document)


def test_that_applied_messages_are_kept_for_each_run_they_concern(store, experiment, source):
    writer = store.begin([experiment] * 2, "thread")
    writer.record(source(2).started())
    writer.record(MessageApplied(5, SetValue("optimizer.lr", 0.5)))
    writer.record(MessageApplied(7, SetValue("optimizer.lr", 0.25, 1)))
    writer.record(MessageApplied(8, SetValue("optimizer.no", 1.0), "there is no such field"))
    writer.record(MessageApplied(9, Pause()))
    writer.close()
    everyone = [(5, SetValue("optimizer.lr", 0.5)), (9, Pause())]
    assert store.controls(writer.run_ids[0]) == everyone
    assert store.controls(writer.run_ids[1]) == [
        everyone[0],
        (7, SetValue("optimizer.lr", 0.25)),
        everyone[1],
    ]


def test_that_status_follows_the_session(store, experiment, source):
    writer = store.begin([experiment], "thread")
    run = writer.run_ids[0]
    assert store.run(run).status == "running"
    writer.record(ActivityChanged(3, "paused"))
    assert store.run(run).status == "paused"
    writer.record(ActivityChanged(3, "running"))
    assert store.run(run).status == "running"
    writer.record(SessionFailed("It broke.", "Traceback …"))
    writer.close()
    record = store.run(run)
    assert (record.status, record.reason, record.detail) == ("failed", "It broke.", "Traceback …")


def _interrupted(store, experiment, source, last=80, snapshot=50):
    """A run with a snapshot and rows beyond it, and a message between; its process died."""
    writer = store.begin([experiment], "thread")
    writer.record(source().started())
    writer.record(MessageApplied(20, Follow(())))
    writer.record(source().block(1, snapshot))
    writer.record(source().kept(snapshot))
    writer.record(source().block(snapshot + 1, 60))
    writer.record(MessageApplied(60, SetValue("optimizer.lr", 0.5)))
    writer.record(MessageApplied(60, Pause()))
    writer.record(source().block(61, last))
    writer.close()
    return writer.run_ids[0]


def test_that_going_on_gives_snapshot_and_log_and_skips_what_is_stored(store, experiment, source):
    run = _interrupted(store, experiment, source)
    writer = store.resume([run], "process")
    assert writer.run_ids == (run,) and writer.experiments == (experiment.to_toml(),)
    assert writer.snapshots is not None and writer.snapshots[0].step == 50
    assert writer.log == ((50, Follow(())), (60, SetValue("optimizer.lr", 0.5)))
    assert store.run(run).status == "running" and store.run(run).runner == "process"
    writer.record(source().started(50))
    # Rows that are stored are not written again: these would be seen.
    again = source().block(51, 75)
    for series in again.series.values():
        series.values[:] = -1.0
    writer.record(MessageApplied(50, Follow(())))
    writer.record(again)
    writer.record(MessageApplied(60, SetValue("optimizer.lr", 0.5)))
    writer.record(source().block(76, 120))
    writer.record(source().ended(120))
    writer.record(SessionEnded())
    writer.close()
    found = store.series(run)
    steps = np.arange(1, 121)
    np.testing.assert_array_equal(found["batch_loss"].steps, steps)
    np.testing.assert_array_equal(found["batch_loss"].values, source().loss(steps)[:, 0])
    np.testing.assert_array_equal(found["weights"].values, source().weights(steps)[:, 0])
    np.testing.assert_array_equal(found["train_loss"].steps, steps[steps % 10 == 0])
    assert store.controls(run) == [
        (20, Follow(())),
        (60, SetValue("optimizer.lr", 0.5)),
        (60, Pause()),
    ]
    assert store.run(run).status == "finished"


@pytest.mark.parametrize("slower", [0.5, 2.0])
def test_that_time_goes_on_where_it_was_stored(store, experiment, source, slower):
    """Steps that are repeated after a kill take another time than they took at first."""

    def block(first, last, seconds):
        made = source().block(first, last)
        steps = made.series["batch_loss"].steps
        made.series["seconds"] = Series(steps, seconds(steps)[:, None])
        return dataclasses.replace(made, seconds=float(seconds(steps)[-1]))

    writer = store.begin([experiment], "thread")
    writer.record(source().started())
    writer.record(block(1, 50, lambda steps: 0.01 * steps))
    writer.record(source().kept(50))  # at 0.05 seconds, as this source has it
    writer.record(block(51, 80, lambda steps: 0.01 * steps))
    writer.close()
    (run,) = writer.run_ids
    writer = store.resume([run])
    writer.record(source().started(50))

    def repeated(steps):
        return 0.5 + slower * 0.01 * (steps - 50)

    writer.record(block(51, 60, repeated))
    writer.record(block(61, 90, repeated))
    writer.record(block(91, 100, repeated))
    end = repeated(100)
    snapshot = dataclasses.replace(source().snapshot(100, "end"), seconds=end)
    writer.record(SnapshotTaken(0, snapshot))
    writer.record(dataclasses.replace(source().ended(100), seconds=end))
    writer.close()
    found = store.series(run)["seconds"]
    steps = np.arange(1, 101)
    expected = np.where(steps <= 80, 0.01 * steps, 0.8 + slower * 0.01 * (steps - 80))
    np.testing.assert_array_equal(found.steps, steps)
    np.testing.assert_allclose(found.values, expected, rtol=1e-12)
    assert (np.diff(found.values) > 0.0).all()
    # The same clock everywhere.
    assert store.run(run).seconds == pytest.approx(expected[-1])
    assert store.snapshots(run)[-1].seconds == pytest.approx(expected[-1])


def test_that_a_change_below_stored_rows_cuts_off_the_course_that_was_left(
    store, experiment, source
):
    run = _interrupted(store, experiment, source, last=3000)
    writer = store.resume([run])
    writer.record(source().started(50))
    writer.record(source().block(51, 55))
    writer.record(MessageApplied(55, SetValue("optimizer.lr", 0.125)))
    other = source().block(56, 200)
    for series in other.series.values():
        series.values[:] += 100.0
    writer.record(other)
    writer.close()
    found = store.series(run)
    steps = np.arange(1, 201)
    expected = source().loss(steps)[:, 0] + 100.0 * (steps > 55)
    np.testing.assert_array_equal(found["batch_loss"].steps, steps)
    np.testing.assert_array_equal(found["batch_loss"].values, expected)
    np.testing.assert_array_equal(found["train_loss"].values, expected[9::10])


@pytest.mark.parametrize(
    ("status", "words"), [("finished", "nothing to resume"), ("diverged", "overflowed")]
)
def test_that_a_run_with_an_end_cannot_be_resumed(store, experiment, source, status, words):
    writer = store.begin([experiment], "thread")
    writer.record(source().ended(10, status))
    writer.close()
    with pytest.raises(InvalidInput, match=words):
        store.resume(writer.run_ids)
    assert store.run(writer.run_ids[0]).status == status


def test_that_a_run_is_resumed_by_one_owner_only(store, experiment, source):
    run = _interrupted(store, experiment, source)
    writer = store.resume([run])
    with pytest.raises(InvalidInput, match="is running; it can be resumed only"):
        store.resume([run])
    writer.close()


def test_that_a_run_without_snapshot_starts_anew(store, experiment, source):
    writer = store.begin([experiment], "thread")
    writer.record(source().block(1, 30))
    writer.close()
    again = store.resume(writer.run_ids)
    assert again.snapshots is None and again.log == ()
    again.record(source().started())
    again.record(source().block(1, 40))
    again.close()
    np.testing.assert_array_equal(
        store.series(writer.run_ids[0])["batch_loss"].steps, np.arange(1, 41)
    )


def test_that_a_population_goes_on_from_the_newest_step_that_all_runs_have(
    store, experiment, source, monkeypatch
):
    monkeypatch.setattr("optlab.store.writer.CHECKPOINT_SHARE", 1e9)
    session = source(3)
    writer = store.begin([experiment] * 3, "thread")
    writer.record(session.started())
    for step in (10, 20, 30):
        writer.record(session.block(step - 9, step))
        for run in range(3):
            # Killed between the second and the third snapshot of step 30.
            if (step, run) != (30, 2):
                writer.record(session.kept(step, run=run))
    writer.record(MessageApplied(30, SetValue("optimizer.lr", 0.5, 2)))
    writer.record(session.ended(30, "diverged", run=0))
    writer.close()
    # Run 0 has ended; the others go on, as rows 0 and 1.
    again = store.resume(writer.run_ids[1:])
    assert again.snapshots is not None and [snapshot.step for snapshot in again.snapshots] == [
        20,
        20,
    ]
    assert again.log == ((30, SetValue("optimizer.lr", 0.5, 1)),)
    again.close()


def test_that_a_full_disk_is_told_once_and_leaves_what_was_committed(store, experiment, source):
    writer = store.begin([experiment], "thread")
    run = writer.run_ids[0]
    writer.record(source().block(1, 100))
    # SQLite says of a file that may not grow what it says of a disk that is full.
    writer._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreError, match=r"not recorded.*disk is full; make room"):
        writer.record(source().block(101, 20_000))
        writer.record(source().kept(20_000))
    assert writer.broken
    writer.record(source().block(20_001, 20_010))
    writer.record(source().ended(20_010))
    writer.close()
    assert store.run(run).status == "interrupted"
    np.testing.assert_array_equal(store.series(run)["batch_loss"].steps, np.arange(1, 101))
    store.resume([run]).close()
