"""The database file: versions, folders, foreign files, and runs as records."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from optlab.core.errors import InvalidInput, StoreError
from optlab.store import Store, database
from optlab.store.database import APPLICATION, connect, migrations
from optlab.store.locks import RunLock


def _version(path: Path) -> int:
    connection = sqlite3.connect(path)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return version


def test_that_an_empty_file_of_version_0_is_brought_to_the_present_one(home):
    home.mkdir()
    sqlite3.connect(home / "optlab.sqlite").close()
    with Store.open(home) as store:
        assert store.runs() == []
    assert _version(home / "optlab.sqlite") == len(migrations())


def test_that_migrations_run_in_order_and_keep_what_is_there(tmp_path):
    path = tmp_path / "old.sqlite"
    first = "CREATE TABLE runs (id TEXT);\nINSERT INTO runs VALUES ('old; run');\n"
    second = "ALTER TABLE runs ADD COLUMN title TEXT DEFAULT 'none';\n"
    connect(path, [first]).close()
    assert _version(path) == 1
    connection = connect(path, [first, second])
    assert connection.execute("SELECT id, title FROM runs").fetchall() == [("old; run", "none")]
    connection.close()
    assert _version(path) == 2


def test_that_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "old.sqlite"
    first = "CREATE TABLE runs (id TEXT);\n"
    connect(path, [first]).close()
    with pytest.raises(StoreError):
        connect(
            path,
            [first, "ALTER TABLE runs ADD COLUMN title TEXT;\nINSERT INTO nowhere VALUES (1);\n"],
        )
    connection = sqlite3.connect(path)
    assert [row[1] for row in connection.execute("PRAGMA table_info(runs)")] == ["id"]
    connection.close()
    assert _version(path) == 1


def test_that_a_newer_file_is_refused_in_words(home):
    Store.open(home).close()
    connection = sqlite3.connect(home / "optlab.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for opening in (Store.open, Store.open_readonly):
        with pytest.raises(StoreError, match=r"newer OptLab \(version 99.*update OptLab"):
            opening(home)


def test_that_a_foreign_database_is_left_alone(home):
    home.mkdir()
    connection = sqlite3.connect(home / "optlab.sqlite")
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="not written by OptLab"):
        Store.open(home)
    assert _version(home / "optlab.sqlite") == 0


def test_that_a_folder_that_cannot_be_made_is_an_error_in_words(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError):
        Store.open(tmp_path / "file" / "home")
    monkeypatch.setenv("OPTLAB_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(StoreError, match="OPTLAB_HOME"):
        Store.open()


def test_that_reading_where_nothing_is_stored_makes_nothing(home):
    with Store.open_readonly(home) as store:
        assert store.runs() == []
    assert not home.exists()


def test_that_the_file_is_marked_as_ours(home):
    Store.open(home).close()
    connection = sqlite3.connect(home / "optlab.sqlite")
    assert connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    connection.close()


def test_that_a_run_is_found_by_the_beginning_of_its_id(store, experiment):
    first, second = store.begin([experiment], "thread"), store.begin([experiment], "process")
    try:
        run = first.run_ids[0]
        assert re.fullmatch(r"\d{8}-\d{6}-[a-z2-9]{4}", run)
        assert store.run(run).id == run
        assert store.run(run[:-1]).id == run or run[:-1] == second.run_ids[0][:-1]
        with pytest.raises(InvalidInput, match="2 runs have ids that begin with"):
            store.run(run[:4])
        with pytest.raises(InvalidInput, match="no run whose id begins with 'x%'"):
            store.run("x%")
        assert [record.id for record in store.runs()] == [second.run_ids[0], run]
        assert [record.id for record in store.runs(newest_first=False)] == [run, second.run_ids[0]]
    finally:
        first.close()
        second.close()


def test_that_a_record_holds_what_was_asked_for_and_what_came_out(store, experiment, source):
    session = source()
    writer = store.begin([experiment], "process")
    writer.record(session.started())
    writer.record(session.block(1, 20))
    writer.record(session.ended(20))
    writer.close()
    record = store.run(writer.run_ids[0])
    assert (record.title, record.experiment, record.runner) == (
        "Moons",
        experiment.to_toml(),
        "process",
    )
    assert (record.status, record.steps, record.device, record.device_name) == (
        "finished",
        20,
        "cpu",
        "a CPU",
    )
    assert record.final == {"train_loss": 0.5, "train_error": None}
    assert (record.theta_sha256, record.reason, record.tracked) == (
        "ab" * 32,
        "the budget is spent",
        session.names,
    )
    assert set(record.versions) == {"optlab", "torch", "numpy", "python"} and all(
        record.versions.values()
    )
    assert record.created <= record.ended


def test_that_a_deleted_run_leaves_nothing_and_a_going_one_is_not_deleted(
    home, store, experiment, source
):
    writer = store.begin([experiment], "thread")
    run = writer.run_ids[0]
    writer.record(source().block(1, 20))
    writer.record(source().kept(20))
    with pytest.raises(InvalidInput, match="stop it before"):
        store.delete(run)
    writer.record(source().ended(20))
    writer.close()
    store.delete(run)
    assert store.runs() == [] and not (home / "snapshots" / run).exists()
    connection = sqlite3.connect(home / "optlab.sqlite")
    for table in ("bundles", "chunks", "snapshots", "controls"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0
    connection.close()


def test_that_a_run_whose_owner_let_go_is_interrupted_and_one_that_is_owned_is_not(
    home, store, experiment, source
):
    held, dropped = store.begin([experiment], "thread"), store.begin([experiment], "thread")
    dropped.close()
    with Store.open_readonly(home) as reader:
        assert reader.run(dropped.run_ids[0]).status == "interrupted"
    assert store.run(dropped.run_ids[0]).status == "interrupted"
    assert store.run(held.run_ids[0]).status == "running"
    held.close()
    assert not list((home / "locks").iterdir())


def test_that_a_lock_file_left_by_a_dead_owner_does_not_keep_a_run_going(home, store, experiment):
    writer = store.begin([experiment], "thread")
    writer.close()
    lock = RunLock(home)
    connection = sqlite3.connect(home / "optlab.sqlite")
    connection.execute(
        "UPDATE runs SET owner = ?, status = 'paused', checksum = NULL", (lock.name,)
    )
    connection.commit()
    connection.close()
    assert store.runs()[0].status == "paused"
    lock.release()
    (home / "locks" / f"{lock.name}.lock").touch()
    assert store.runs()[0].status == "interrupted"


def test_that_a_store_that_another_process_migrates_meanwhile_is_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old" / "optlab.sqlite"
    path.parent.mkdir()
    scripts = database.migrations()
    database.connect(path, scripts[:1]).close()
    checked = database._checked_version

    def slowly(connection: sqlite3.Connection, path: Path, newest: int) -> int:
        version = checked(connection, path, newest)
        if version == 1 and not migrated:
            migrated.append(True)
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            for statement in database._statements(scripts[1]):
                other.execute(statement)
            other.execute("PRAGMA user_version = 2")
            other.execute("COMMIT")
            other.close()
        return version

    migrated: list[bool] = []
    monkeypatch.setattr(database, "_checked_version", slowly)
    with Store.open_readonly(path.parent) as store:
        assert migrated and store.notice == ""
