"""Faults while recording, at every place where one can happen: nothing is lost, or the record says
that it is incomplete.

The faults are raised where Python hands a write to the system. The marker ``soak`` has the same
with faults below Python, in the installed command.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from optlab.core.errors import StoreError
from optlab.store import Store, persistence, snapshots
from optlab.store.connections import TrackedConnection
from optlab.training.control import Follow, SetValue
from optlab.training.events import MessageApplied, SessionEnded

STEPS = 60
KINDS = ("begin", "statement", "commit", "fsync", "rename", "create")


class Faults:
    """Fails the ``at``-th act of a kind, and all later ones where the fault is ``lasting``."""

    def __init__(self, kind: str, at: int, *, lasting: bool, error: int = errno.EIO) -> None:
        self.kind, self.at, self.lasting, self.error = kind, at, lasting, error
        self.count = 0

    def strikes(self, *kinds: str) -> bool:
        if self.kind not in kinds:
            return False
        self.count += 1
        return self.count >= self.at if self.lasting else self.count == self.at

    def raise_os(self, kind: str) -> None:
        if self.strikes(kind):
            raise OSError(self.error, os.strerror(self.error))


@pytest.fixture
def inject(monkeypatch: pytest.MonkeyPatch) -> Callable[[Faults], None]:
    """Put faults between the store and the system."""
    monkeypatch.setattr(persistence, "PAUSES", (0.0, 0.0))

    def put(faults: Faults) -> None:
        class Connection(TrackedConnection):
            def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
                writes = sql.split(maxsplit=1)[0] in ("INSERT", "UPDATE", "DELETE", "CREATE")
                kind = {"BEGIN IMMEDIATE": "begin", "COMMIT": "commit"}.get(
                    sql, "statement" if writes else ""
                )
                if faults.strikes(kind):
                    error = sqlite3.OperationalError("disk I/O error")
                    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                    raise error
                return super().execute(sql, *values)

        def connect(*arguments: object, **options: object) -> sqlite3.Connection:
            if faults.strikes("create"):
                raise sqlite3.OperationalError("unable to open database file")
            return real_connect(*arguments, **{**options, "factory": Connection})

        real_connect, real_fsync, real_replace, real_open = (
            sqlite3.connect,
            os.fsync,
            os.replace,
            Path.open,
        )
        monkeypatch.setattr(sqlite3, "connect", connect)
        monkeypatch.setattr(
            os, "fsync", lambda handle: (faults.raise_os("fsync"), real_fsync(handle))[1]
        )
        monkeypatch.setattr(
            os, "replace", lambda *paths: (faults.raise_os("rename"), real_replace(*paths))[1]
        )

        def open_path(path: Path, mode: str = "r", *arguments: object, **options: object) -> object:
            if set(mode) & set("wx"):
                faults.raise_os("create")
            return real_open(path, mode, *arguments, **options)

        monkeypatch.setattr(Path, "open", open_path)

    return put


def _record(home: Path, experiment, source) -> tuple[str, bool]:
    """A session with all that is written; its run, and whether all was recorded."""
    recorded = True
    with Store.open(home) as store:
        writer = store.begin([experiment], "thread")
        events = [
            source().started(),
            source().kept(0, "start"),
            source().block(1, 20),
            MessageApplied(20, SetValue("optimizer.lr", 0.5)),
            source().kept(20, "asked"),
            source().block(21, 40),
            MessageApplied(40, Follow(source().names)),
            source().kept(40),
            source().block(41, STEPS),
            source().kept(STEPS, "end"),
            source().ended(STEPS),
            SessionEnded(),
        ]
        for event in events:
            # As if a frame had passed, so that each block is committed.
            writer._commit_at = 0.0
            try:
                writer.record(event)
            except StoreError as error:
                assert recorded and "not recorded" in str(error)
                recorded = False
        writer.close()
        return writer.run_ids[0], recorded


def _check(home: Path, run: str, recorded: bool, source) -> None:
    """What is stored is whole, or the store does not say that it is; what there is can be read and
    agrees with itself.
    """
    with Store.open(home) as store:
        record = store.run(run)
        found = store.series(run)
        stored = len(found["batch_loss"].steps) if "batch_loss" in found else 0
        steps = np.arange(1, stored + 1)
        if stored:
            np.testing.assert_array_equal(found["batch_loss"].values, source().loss(steps)[:, 0])
            np.testing.assert_array_equal(found["weights"].values, source().weights(steps)[:, 0])
        assert record.steps == stored
        for snapshot in store.snapshots(run):
            assert store.load_snapshot(snapshot).step <= stored
        if recorded:
            assert (record.status, stored) == ("finished", STEPS)
            assert [snapshot.step for snapshot in store.snapshots(run)] == [0, 20, 40, STEPS]
            assert store.controls(run) == [
                (20, SetValue("optimizer.lr", 0.5)),
                (40, Follow(source().names)),
            ]
        else:
            assert record.status == "interrupted"
            store.resume([run]).close()


def _points(kind: str) -> list[int]:
    return {
        "begin": [1, 2, 4, 7, 12],
        "statement": [1, 9, 14, 20, 25],
        "commit": [1, 2, 4, 7, 12],
        "fsync": [1, 2, 5, 8],
    }.get(kind, [1, 2, 3, 4])


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize(("kind", "at"), [(kind, at) for kind in KINDS for at in _points(kind)])
def test_that_a_fault_that_passes_loses_nothing(
    home, experiment, source, inject, monkeypatch, kind, at, code
):
    monkeypatch.setattr("optlab.store.writer.CHECKPOINT_SHARE", 1e9)
    faults = Faults(kind, at, lasting=False, error=code)
    inject(faults)
    run, recorded = _record(home, experiment, source)
    assert faults.count >= at, "the fault never struck"
    assert recorded
    monkeypatch.undo()
    _check(home, run, recorded, source)


@pytest.mark.parametrize(("kind", "at"), [(kind, at) for kind in KINDS for at in _points(kind)])
def test_that_a_fault_that_lasts_leaves_a_record_that_can_be_read_and_does_not_claim_to_be_whole(
    home, experiment, source, inject, monkeypatch, kind, at
):
    monkeypatch.setattr("optlab.store.writer.CHECKPOINT_SHARE", 1e9)
    faults = Faults(kind, at, lasting=True)
    inject(faults)
    try:
        run, recorded = _record(home, experiment, source)
    except StoreError:
        run = ""
    monkeypatch.undo()
    assert faults.count >= at, "the fault never struck"
    if run:
        assert not recorded
        _check(home, run, False, source)
    else:
        with Store.open(home) as store:
            assert all(record.status == "interrupted" for record in store.runs())


@pytest.mark.parametrize("own", [True, False])
def test_that_a_fault_that_passes_does_not_keep_the_folder_from_being_made(home, monkeypatch, own):
    monkeypatch.setenv("OPTLAB_HOME", str(home))
    faults = Faults("create", 1, lasting=False)
    mkdir = Path.mkdir

    def failing(path: Path, *arguments: object, **options: object) -> None:
        faults.raise_os("create")
        mkdir(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", failing)
    with Store.open(None if own else home) as opened:
        assert opened.runs() == []


def test_that_a_record_that_breaks_off_says_why_and_up_to_where(
    home, store, experiment, source, inject, monkeypatch
):
    writer = store.begin([experiment], "thread")
    writer.record(source().block(1, 40))
    writer.record(source().kept(40, "asked"))
    monkeypatch.setattr(persistence, "PAUSES", ())

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(snapshots, "write", fail)
    with pytest.raises(StoreError, match=r"not recorded after step 40"):
        writer.record(source().kept(50, "asked"))
    writer.record(source().ended(60))
    writer.close()
    record = store.run(writer.run_ids[0])
    assert (record.status, record.steps) == ("interrupted", 40)
    assert "not recorded after step 40" in record.reason


class Room:
    """A watcher that makes room at the ``at``-th wait, or gives up at the third where that is None."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.waits = 0
        self.said: list[str] = []
        self.make: Callable[[], object] = lambda: None

    def held(self, message: str) -> None:
        self.said.append(message)

    def resumed(self) -> None:
        self.said.append("on")

    def wait(self, seconds: float) -> bool:
        self.waits += 1
        if self.waits == self.at:
            self.make()
        return self.at is not None or self.waits < 3


def _full(store: Store, experiment, source, room: Room):
    """A session that finds no room, and goes on with it; the run."""
    writer = store.begin([experiment], "thread")
    writer.set_watcher(room)
    # SQLite says of a file that may not grow what it says of a disk that is full.
    writer._connection.execute("PRAGMA max_page_count = 1")
    room.make = lambda: writer._connection.execute("PRAGMA max_page_count = 100000")
    return writer


def test_that_a_full_disk_is_waited_for_and_nothing_is_missing_once_there_is_room(
    store, experiment, source
):
    room = Room(5)
    writer = _full(store, experiment, source, room)
    for event in (
        source().block(1, 3000),
        source().kept(3000, "asked"),
        source().block(3001, 6000),
        source().ended(6000),
    ):
        writer.record(event)
    writer.close()
    assert len(room.said) == 2 and "is full: the run waits" in room.said[0] and room.said[1] == "on"
    assert store.run(writer.run_ids[0]).status == "finished"
    np.testing.assert_array_equal(
        store.series(writer.run_ids[0])["batch_loss"].steps, np.arange(1, 6001)
    )


def test_that_waiting_for_room_ends_when_the_watcher_gives_up(store, experiment, source):
    room = Room(None)
    writer = _full(store, experiment, source, room)
    with pytest.raises(StoreError, match=r"not recorded: .*disk is full"):
        writer.record(source().block(1, 20_000))
        writer.record(source().kept(20_000))
    writer.record(source().ended(20_000))
    writer.close()
    assert len(room.said) == 1 and writer.broken
    assert store.run(writer.run_ids[0]).status == "interrupted"
