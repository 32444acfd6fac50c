"""Stores that come from somewhere else: names that are paths, rows that are odd, links, and schemas
that act.
"""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from optlab.cli.app import main
from optlab.core.errors import InvalidInput, StoreError
from optlab.store import Store, snapshots
from optlab.store.database import migrations
from optlab.store.names import is_run_id, is_snapshot_file, run_id
from optlab.store.records import RUNS
from optlab.training.control import SetValue
from optlab.training.events import MessageApplied

ODD_IDS = [
    "../../victim", "..", ".", "", "/etc", "a/b", "a\\b", "C:x", "a b", "ä", "-rf", "nul", "com1",
    "x" * 65, "a\n", "a\x00b", 7, None, b"20250101",
]  # fmt: skip


def _sql(home: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(home / "optlab.sqlite", isolation_level=None)
    connection.execute(statement, values)
    connection.close()


@pytest.fixture
def run(home, store, experiment, source) -> str:
    """A finished run with a snapshot."""
    writer = store.begin([experiment], "thread")
    writer.record(source().started())
    writer.record(source().block(1, 20))
    writer.record(source().kept(20, "end"))
    writer.record(source().ended(20))
    writer.close()
    return writer.run_ids[0]


@pytest.fixture
def other(store, experiment) -> str:
    """A run that nothing is done to."""
    writer = store.begin([experiment], "thread")
    writer.close()
    return writer.run_ids[0]


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder outside the store."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "precious.txt").write_text("precious")
    (folder / "40-end.safetensors").write_text("precious")
    (folder / "x.lock").write_text("precious")
    return folder


def _flip(home: Path, table: str, column: str) -> None:
    """Flip the bit of a column of the first row."""
    connection = sqlite3.connect(home / "optlab.sqlite", isolation_level=None)
    value = connection.execute(f"SELECT {column} FROM {table}").fetchone()[0]
    if isinstance(value, str):
        # In the middle of a document, a flipped digit leaves it a document.
        at = next((at for at, letter in enumerate(value) if letter.isdigit()), len(value) - 1)
        changed = value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :] if value else "1"
    else:
        changed = value + 64
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute(
        f"UPDATE {table} SET {column} = ? WHERE rowid = (SELECT min(rowid) FROM {table})",
        (changed,),
    )
    connection.close()


def _whole(victim: Path) -> bool:
    return {path.name: path.read_text() for path in victim.iterdir()} == dict.fromkeys(
        ("precious.txt", "40-end.safetensors", "x.lock"), "precious"
    )


@pytest.mark.parametrize("name", ODD_IDS)
def test_that_only_a_plain_name_is_the_id_of_a_run(tmp_path, name):
    assert not is_run_id(name)
    with pytest.raises(StoreError, match="cannot be the id of a run"):
        run_id(name)
    with pytest.raises(StoreError, match="cannot be the id of a run"):
        snapshots.folder(tmp_path, name)
    with pytest.raises(StoreError, match="cannot be the id of a run"):
        snapshots.remove_all(tmp_path, name)


def test_that_ids_that_optlab_gives_are_plain_names(run):
    assert is_run_id(run) and run_id(run) == run


@pytest.mark.parametrize(
    "name", ["../x.safetensors", "x", ".safetensors", "a/b.safetensors", "x.safetensors/..", None]
)
def test_that_only_a_plain_name_is_a_snapshots_file(home, run, victim, name):
    assert not is_snapshot_file(name)
    snapshots.discard(home, run, name)
    assert _whole(victim)


@pytest.mark.parametrize("name", ["../../victim", "../victim", "{victim}", "."])
def test_that_a_run_whose_id_is_a_path_is_neither_listed_nor_deleted(
    home, store, run, other, victim, name
):
    name = name.format(victim=victim)
    _sql(home, "UPDATE runs SET id = ? WHERE id = ?", name, run)
    assert [record.id for record in store.runs()] == [other]
    assert "damaged row: its id is" in store.hidden and "not listed" in store.hidden
    for act in (store.delete, store.run, lambda run: store.resume([run])):
        with pytest.raises(InvalidInput, match="no run whose id begins"):
            act(name)
    assert _whole(victim) and (home / "snapshots").exists()


def test_that_an_owner_whose_name_is_a_path_touches_no_file(home, store, run, other, victim):
    _sql(home, "UPDATE runs SET owner = ?, status = 'running' WHERE id = ?", "../../victim/x", run)
    assert [record.id for record in store.runs()] == [other]
    with Store.open_readonly(home) as reader:
        assert [record.id for record in reader.runs()] == [other]
    assert _whole(victim)


def test_that_a_snapshot_whose_file_is_a_path_is_not_removed(
    home, store, experiment, source, victim
):
    writer = store.begin([experiment], "thread")
    run = writer.run_ids[0]
    writer.record(source().kept(10, "paused"))
    writer.close()
    _sql(home, "UPDATE snapshots SET file = '../../../victim/40-end.safetensors'")
    writer = store.resume([run])
    writer.record(source().kept(10, "paused"))
    writer.close()
    assert _whole(victim) and [record.file for record in store.snapshots(run)] == [
        "10-paused.safetensors"
    ]


def test_that_a_link_in_place_of_a_runs_folder_is_removed_and_not_followed(
    home, store, run, victim
):
    folder = home / "snapshots" / run
    snapshots.remove_all(home, run)
    folder.symlink_to(victim)
    store.delete(run)
    assert _whole(victim) and not os.path.lexists(folder)


def test_that_a_link_in_a_runs_folder_is_removed_and_not_followed(home, store, run, victim):
    (home / "snapshots" / run / "link").symlink_to(victim)
    (home / "snapshots" / run / "file.safetensors").symlink_to(victim / "precious.txt")
    store.delete(run)
    assert _whole(victim) and not (home / "snapshots" / run).exists()


def test_that_going_on_with_a_run_changes_nothing_behind_a_link(
    home, store, experiment, source, victim
):
    writer = store.begin([experiment], "thread")
    run = writer.run_ids[0]
    writer.record(source().kept(10, "asked"))
    writer.close()
    folder = home / "snapshots" / run
    snapshots.remove_all(home, run)
    folder.symlink_to(victim)
    with pytest.raises(StoreError, match="is a link to another folder"):
        store.resume([run])
    assert _whole(victim)


def test_that_a_snapshot_is_not_written_through_a_link(home, store, experiment, source, victim):
    writer = store.begin([experiment], "thread")
    folder = home / "snapshots" / writer.run_ids[0]
    folder.mkdir(parents=True)
    (folder / "10-asked.safetensors.part").symlink_to(victim / "precious.txt")
    writer.record(source().kept(10, "asked"))
    writer.close()
    assert _whole(victim) and store.latest_snapshot(writer.run_ids[0]).step == 10


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("versions", "{"),
        ("versions", "[]"),
        ("tracked", "{}"),
        ("tracked", "[1]"),
        ("final", '{"train_loss": "low"}'),
        ("final", "[" * 100_000),
        ("status", "excellent"),
        ("created", "yesterday"),
        ("ended", "7"),
        ("steps", "many"),
        ("steps", -1),
        ("seconds", "long"),
        ("place", "first"),
        ("title", b"\xff\xfe"),
        ("population", "../x"),
        ("owner", "me"),
    ],
)
@pytest.mark.parametrize("opening", [Store.open, Store.open_readonly])
def test_that_one_odd_row_hides_no_other_run_and_is_said(
    home, store, run, other, field, value, opening
):
    _sql(home, f"UPDATE runs SET {field} = ? WHERE id = ?", value, run)
    with opening(home) as opened:
        assert [record.id for record in opened.runs()] == [other]
        assert "damaged row" in opened.hidden and opened.hidden.endswith(
            "the other runs are not affected."
        )
        with pytest.raises(StoreError, match="damaged row"):
            opened.run(run)
        assert opened.run(other).id == other


def test_that_text_that_is_no_utf8_hides_no_other_run(home, store, run, other):
    _sql(home, "UPDATE runs SET title = CAST(x'ff41' AS TEXT) WHERE id = ?", run)
    assert [record.id for record in store.runs()] == [other] and "title" in store.hidden
    assert store.run(other[:-1]).id == other


@pytest.mark.parametrize("table", ["runs", "studies"])
@pytest.mark.parametrize("opening", [Store.open, Store.open_readonly])
def test_that_text_that_is_no_utf8_keeps_nothing_from_being_marked(
    home, store, experiment, table, opening
):
    """The process died, so its rows are checked before they are marked."""
    for _ in range(2):
        store.begin([experiment], "thread").close()
        store.begin_study("", "Is it marked?").close()
    column = "title" if table == "runs" else "question"
    _sql(home, f"UPDATE {table} SET {column} = CAST(x'ff41' AS TEXT) WHERE rowid = 1")
    with opening(home) as opened:
        shown = opened.runs() if table == "runs" else opened.studies()
        assert [record.status for record in shown] == ["interrupted"] and column in opened.hidden


@pytest.mark.parametrize("opening", [Store.open, Store.open_readonly])
def test_that_text_that_is_no_utf8_keeps_no_older_store_from_being_read(
    home, store, run, other, monkeypatch, opening
):
    store.close()
    _sql(home, "UPDATE runs SET title = CAST(x'ff41' AS TEXT) WHERE id = ?", run)
    scripts = [*migrations(), "ALTER TABLE runs ADD COLUMN remark TEXT NOT NULL DEFAULT 'none';\n"]
    monkeypatch.setattr("optlab.store.database.migrations", lambda: scripts)
    with opening(home) as opened:
        rows = opened._rows("SELECT id, checksum FROM runs", ())
        assert {row[0]: row[1] for row in rows}[run] == -1
        assert {row[0]: row[1] for row in rows}[other] != -1


def test_that_nothing_is_said_of_a_sound_store(store, run, other):
    assert len(store.runs()) == 2 and store.hidden == ""


def test_that_the_command_lists_the_other_runs_and_says_what_is_missing(
    home, store, run, other, monkeypatch, capsys
):
    monkeypatch.setenv("OPTLAB_HOME", str(home))
    _sql(home, "UPDATE runs SET id = '../../victim' WHERE id = ?", run)
    assert main(["runs", "--json"]) == 0
    output = capsys.readouterr()
    assert [entry["id"] for entry in json.loads(output.out)] == [other]
    assert "not listed" in output.err and len(output.err.splitlines()) == 1
    assert main(["runs"]) == 0
    output = capsys.readouterr()
    assert other in output.out and "not listed" in output.err
    assert main(["doctor"]) in (0, 1)
    assert "not listed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER UPDATE ON runs BEGIN INSERT INTO fired VALUES (1); END",
        "CREATE TRIGGER t AFTER INSERT ON runs BEGIN INSERT INTO fired VALUES (1); END",
        "CREATE VIEW v AS SELECT * FROM runs",
        "CREATE VIRTUAL TABLE f USING fts5(x)",
    ],
)
@pytest.mark.parametrize("opening", [Store.open, Store.open_readonly])
def test_that_a_store_that_could_act_is_refused_before_it_does(
    home, store, run, statement, opening
):
    store.close()
    _sql(home, "CREATE TABLE fired (x)")
    _sql(home, "UPDATE runs SET status = 'running'")
    _sql(home, statement)
    with pytest.raises(
        StoreError, match=r"was not opened: .* that OptLab never creates .* move it away"
    ):
        opening(home)
    connection = sqlite3.connect(home / "optlab.sqlite")
    assert connection.execute("SELECT count(*) FROM fired").fetchone() == (0,)
    connection.close()


def test_that_a_view_in_place_of_the_runs_is_refused(home, store, run):
    store.close()
    _sql(home, "PRAGMA foreign_keys = OFF")
    _sql(home, "ALTER TABLE runs RENAME TO hidden_runs")
    _sql(home, "CREATE VIEW runs AS SELECT * FROM hidden_runs")
    with pytest.raises(StoreError, match="view 'runs'"):
        Store.open_readonly(home)


@pytest.mark.parametrize(
    "columns", ["{", "7", "[7]", '[["batch_loss"]]', '[["batch_loss", 7]]', "[[7, []]]"]
)
def test_that_damaged_names_of_series_are_said_in_words(home, store, run, columns):
    _sql(home, "UPDATE bundles SET columns = ?", columns)
    with pytest.raises(StoreError, match="names of its series are damaged"):
        store.series(run)


@pytest.mark.parametrize("field", ["changes", "memory"])
@pytest.mark.parametrize("value", ["{", "[]"])
def test_that_a_damaged_row_of_a_snapshot_is_said_in_words(home, store, run, field, value):
    _sql(home, f"UPDATE snapshots SET {field} = ?", value)
    with pytest.raises(StoreError, match="snapshot of step 20 is damaged"):
        store.latest_snapshot(run)


@pytest.mark.parametrize("rows", [10**12, 10**19 - 1, -1, 0, 1025, "many", 19])
def test_that_a_chunk_that_claims_other_rows_than_it_holds_is_refused_before_room_is_made(
    home, store, run, rows
):
    _sql(home, "UPDATE chunks SET rows = ?", rows if rows != 10**19 - 1 else 2**63 - 1)
    with pytest.raises(StoreError, match=r"batch_loss.* damaged in the stored file"):
        store.series(run)


@pytest.mark.parametrize("field", ["first_step", "last_step", "sealed", "checksum", "data"])
@pytest.mark.parametrize("value", [5, "text", b"bytes"])
def test_that_a_chunk_with_any_field_changed_is_refused(home, store, run, field, value):
    _sql(home, f"UPDATE chunks SET {field} = ?", value)
    with pytest.raises(StoreError, match="damaged in the stored file"):
        store.series(run)


@pytest.mark.parametrize("column", [*RUNS.names, "checksum"])
def test_that_a_bit_that_flipped_in_a_run_is_not_shown_as_true(home, store, run, column):
    _flip(home, "runs", column)
    assert store.runs() == [] and "damaged row" in store.hidden


@pytest.mark.parametrize("column", ["number", "columns", "checksum"])
def test_that_a_bit_that_flipped_in_the_names_of_series_is_noticed(home, store, run, column):
    _flip(home, "bundles", column)
    with pytest.raises(StoreError, match="names of its series are damaged"):
        store.series(run)


@pytest.mark.parametrize(
    "column",
    ["step", "reason", "seconds", "file", "bytes", "sha256", "changes", "memory", "checksum"],
)
def test_that_a_bit_that_flipped_in_a_snapshots_row_is_noticed(home, store, run, column):
    _flip(home, "snapshots", column)
    with pytest.raises(
        StoreError, match=r"snapshot of step \d+ (is damaged|has no valid file name)"
    ):
        store.latest_snapshot(run)


@pytest.mark.parametrize("column", ["number", "step", "message", "checksum"])
def test_that_a_bit_that_flipped_in_a_control_message_is_noticed(home, store, experiment, column):
    writer = store.begin([experiment], "thread")
    writer.record(MessageApplied(5, SetValue("optimizer.lr", 0.5)))
    writer.close()
    assert store.controls(writer.run_ids[0]) == [(5, SetValue("optimizer.lr", 0.5))]
    _flip(home, "controls", column)
    with pytest.raises(StoreError, match="control message is damaged"):
        store.controls(writer.run_ids[0])


def test_that_a_damaged_row_is_not_made_sound_by_marking_it(home, store, experiment):
    writer = store.begin([experiment], "thread")
    _sql(home, "UPDATE runs SET title = 'another'")
    writer._lock.release()
    writer._connection.close()
    assert store.runs() == [] and "checksum" in store.hidden
    assert store.runs() == [] and "checksum" in store.hidden


def test_that_a_store_without_checksums_is_brought_up_to_date_and_read(
    home, store, run, other, make_older
):
    store.close()
    make_older(home, 1)
    with Store.open(home) as opened:
        assert {record.id for record in opened.runs()} == {run, other} and opened.hidden == ""
        assert (
            len(opened.series(run)["batch_loss"].steps) == 20
            and opened.latest_snapshot(run).step == 20
        )
        opened.resume([other]).close()
        _sql(home, "UPDATE runs SET title = 'another' WHERE id = ?", other)
        assert [record.id for record in opened.runs()] == [run]


@pytest.mark.parametrize("field", ["step", "seconds", "reason", "bytes", "sha256", "changes"])
@pytest.mark.parametrize("value", [b"bytes", "text", -1, 2.5, "[" * 100_000])
def test_that_an_odd_entry_of_a_snapshot_is_said_in_words(home, store, run, field, value):
    _sql(home, f"UPDATE snapshots SET {field} = ?, checksum = NULL", value)
    (entry,) = store.snapshots(run)
    if (field, value) in [("seconds", -1), ("seconds", 2.5), ("reason", "text")]:
        store.load_snapshot(entry)
    elif field == "reason" and not isinstance(value, bytes):
        # SQLite turns a number into text there.
        assert store.load_snapshot(entry).reason == str(value)
    else:
        with pytest.raises(StoreError, match=r"the snapshot of step -?\d+ is damaged"):
            store.load_snapshot(entry)


@pytest.mark.parametrize("kind", ["pipe", "link to a device", "folder"])
def test_that_a_snapshot_that_is_no_plain_file_is_not_read(home, store, run, kind):
    path = home / "snapshots" / run / "20-end.safetensors"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    _sql(home, "UPDATE snapshots SET bytes = ?, checksum = NULL", path.stat().st_size)
    with pytest.raises(StoreError, match="snapshot of step 20 is damaged"):
        store.latest_snapshot(run)


@pytest.mark.parametrize("step", ["text", b"bytes", 2.5, None])
def test_that_an_odd_step_of_a_message_is_said_in_words(home, store, experiment, source, step):
    writer = store.begin([experiment], "thread")
    (run,) = writer.run_ids
    writer.record(source().started())
    writer.record(MessageApplied(1, SetValue("optimizer.lr", 0.1)))
    writer.close()
    if step is None:
        _sql(home, "UPDATE controls SET message = ?, checksum = NULL", "[" * 100_000)
    else:
        _sql(home, "UPDATE controls SET step = ?, checksum = NULL", step)
    for act in (store.controls, lambda run: store.resume([run])):
        with pytest.raises(StoreError, match="control message is damaged"):
            act(run)


def test_that_names_of_series_without_end_are_said_in_words(home, store, run):
    _sql(home, "UPDATE bundles SET columns = ?, checksum = NULL", "[" * 100_000)
    with pytest.raises(StoreError, match="names of its series are damaged"):
        store.series(run)
