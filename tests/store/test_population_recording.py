"""Recording a population: what all runs have at one moment is written once for all of them."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from optlab.core.errors import StoreError
from optlab.store import Store, StoredSeries, persistence, writer
from optlab.store.connections import TrackedConnection
from optlab.training.events import SessionEnded

RUNS = 12


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The statements of each transaction that was committed."""
    done: list[list[str]] = []

    class Connection(TrackedConnection):
        current: list[str] = []  # noqa: RUF012

        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
            result = super().execute(sql, *values)
            if sql == "BEGIN IMMEDIATE":
                self.current = []
            elif sql == "COMMIT":
                done.append(self.current)
            else:
                self.current.append(sql)
            return result

    real = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *where, **how: real(*where, **{**how, "factory": Connection})
    )
    return done


def _thetas(store: Store, ids: tuple[str, ...]) -> list[list[tuple[int, str, float]]]:
    found = []
    for run in ids:
        kept = [store.load_snapshot(record) for record in store.snapshots(run)]
        found.append([(one.step, one.reason, float(one.theta[-1])) for one in kept])
    return found


def test_that_snapshots_of_one_moment_are_one_transaction(home, experiment, source, commits):
    session = source(RUNS)
    with Store.open(home) as store:
        recorder = store.begin([experiment] * RUNS, "thread")
        recorder.record(session.started())
        for step, reason in ((0, "start"), (20, "checkpoint"), (40, "end")):
            if step:
                recorder._commit_at = recorder._checkpoint_at = 0.0
                recorder.record(session.block(step - 19, step))
            commits.clear()
            for run in range(RUNS):
                recorder.record(session.kept(step, reason, run))
            assert len(commits) == 1
            written = [sql for sql in commits[0] if "INTO snapshots" in sql]
            # One statement for the checksums, not one a run.
            assert len(written) == RUNS
            assert len([sql for sql in commits[0] if sql.startswith("UPDATE snapshots")]) == 1
        for run in range(RUNS):
            recorder.record(session.ended(40, run=run))
        recorder.record(SessionEnded())
        recorder.close()
        expected = [(0, "start", 0.0), (20, "checkpoint", 20.0), (40, "end", 40.0)]
        assert _thetas(store, recorder.run_ids) == [expected] * RUNS
        assert {run.status for run in store.runs()} == {"finished"} and store.hidden == ""


def test_that_a_commit_of_many_runs_updates_their_checksums_in_few_statements(
    home, experiment, source, commits
):
    session = source(RUNS)
    with Store.open(home) as store:
        recorder = store.begin([experiment] * RUNS, "thread")
        recorder.record(session.started())
        recorder._commit_at = 0.0
        commits.clear()
        recorder.record(session.block(1, 20))
        (statements,) = commits
        updates = [sql for sql in statements if "SET checksum = optlab_checksum" in sql]
        assert len(updates) == 2  # of the runs and of the names of their series
        recorder.close()
        assert len(store.runs()) == RUNS and store.hidden == ""


def test_that_snapshots_wait_for_no_run_that_does_not_come(home, experiment, source):
    session = source(3)
    with Store.open(home) as store:
        recorder = store.begin([experiment] * 3, "thread")
        for act in (
            lambda: recorder.record(session.block(1, 20)),
            lambda: recorder.record(session.kept(30, "paused")),
            lambda: recorder.interrupt("enough"),
        ):
            recorder.record(session.kept(len(store.snapshots(recorder.run_ids[1])), "asked", 1))
            before = len(store.snapshots(recorder.run_ids[1]))
            act()
            assert len(store.snapshots(recorder.run_ids[1])) == before + 1
        recorder.close()
        assert [one[:2] for one in _thetas(store, recorder.run_ids)[0]] == [(30, "paused")]


def test_that_snapshots_that_wait_are_kept_when_the_writer_is_closed(home, experiment, source):
    with Store.open(home) as store:
        recorder = store.begin([experiment] * 3, "thread")
        recorder.record(source(3).kept(7, "asked", 2))
        recorder.close()
        assert _thetas(store, recorder.run_ids) == [[], [], [(7, "asked", 7.0)]]


def test_that_large_snapshots_do_not_wait(home, experiment, source, monkeypatch):
    monkeypatch.setattr(writer, "_MAX_WAITING", 100)
    with Store.open(home) as store:
        recorder = store.begin([experiment] * 4, "thread")
        for run in range(4):
            recorder.record(source(4).kept(7, "checkpoint", run))
            assert len(_thetas(store, recorder.run_ids)[run]) == run % 2
            if run % 2:
                assert len(_thetas(store, recorder.run_ids)[run - 1]) == 1
        recorder.close()


@pytest.mark.parametrize("at", [1, 5, 2 * RUNS])
def test_that_one_file_that_fails_once_costs_nothing(
    home, experiment, source, monkeypatch, at: int
):
    monkeypatch.setattr(persistence, "PAUSES", (0.0, 0.0))
    count, real = iter(range(1, 10_000)), os.fsync

    def fail(handle: int) -> None:
        if next(count) == at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(handle)

    monkeypatch.setattr(os, "fsync", fail)
    with Store.open(home) as store:
        recorder = store.begin([experiment] * RUNS, "thread")
        for run in range(RUNS):
            recorder.record(source(RUNS).kept(7, "asked", run))
        recorder.close()
        assert _thetas(store, recorder.run_ids) == [[(7, "asked", 7.0)]] * RUNS
    assert next(count) > 2 * RUNS
    assert not list((home / "snapshots").rglob("*.part"))


def test_that_one_file_that_keeps_failing_leaves_no_row_of_any(
    home, experiment, source, monkeypatch
):
    monkeypatch.setattr(persistence, "PAUSES", (0.0, 0.0))
    real = os.replace

    def fail(old: Path, new: Path) -> None:
        if bad in str(new):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(new))
        real(old, new)

    monkeypatch.setattr(os, "replace", fail)
    with Store.open(home) as store:
        recorder = store.begin([experiment] * RUNS, "thread")
        bad = recorder.run_ids[4]
        with pytest.raises(StoreError, match="not recorded"):
            for run in range(RUNS):
                recorder.record(source(RUNS).kept(7, "asked", run))
        recorder.close()
        assert _thetas(store, recorder.run_ids) == [[]] * RUNS
        assert {run.status for run in store.runs()} == {"interrupted"}
        assert all("not recorded" in run.reason for run in store.runs())
    # The runs are resumed as if there had been no such files.
    monkeypatch.undo()
    with Store.open(home) as store:
        again = store.resume(recorder.run_ids)
        assert again.snapshots is None
        again.close()
    assert not list((home / "snapshots").rglob("*.safetensors"))


def test_that_runs_that_ended_keep_their_rows_and_get_no_others(home, experiment, source):
    session = source(3)
    with Store.open(home) as store:
        recorder = store.begin([experiment] * 3, "thread")
        recorder.record(session.started())
        recorder.record(session.block(1, 20))
        block = session.block(21, 40)
        # Run 1 ended within the block, run 2 before it; neither has said so yet.
        for name, one in block.series.items():
            late = one.steps > 27
            one.values[late, 1] = np.nan
            one.values[:, 2] = np.nan
            assert name
        recorder.record(block)
        recorder.record(session.ended(27, run=1))
        recorder.record(session.ended(20, run=2))
        recorder.record(session.block(41, 60))
        recorder.close()
        found = [store.series(run) for run in recorder.run_ids]
        for run, last in enumerate((60, 27, 20)):
            loss: StoredSeries = found[run]["batch_loss"]
            steps = np.arange(1, last + 1)
            np.testing.assert_array_equal(loss.steps, steps)
            np.testing.assert_array_equal(loss.values, session.loss(steps)[:, run])
            assert found[run]["train_loss"].steps.tolist() == list(range(10, last + 1, 10))
