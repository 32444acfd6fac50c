"""Columns of the tables of metadata follow from the fields of the records."""

from __future__ import annotations

import ast
import dataclasses
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import optlab
from optlab.core.errors import InvalidInput, StoreError
from optlab.store import RunRecord, SnapshotRecord, Store, StudyRecord, StudyRun
from optlab.store.checksums import checksum, checksums
from optlab.store.database import connect, migrations
from optlab.store.records import RUNS, STUDIES, STUDY_RUNS, TABLES

VERSIONS = range(len(migrations()))


def _columns(home: Path, table: str) -> list[str]:
    connection = sqlite3.connect(home / "optlab.sqlite")
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    connection.close()
    return names


def _bytes(home: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in home.rglob("*")
        # SQLite's own files, by which the readers of a database coordinate.
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


@pytest.fixture
def run(home, store, experiment, source) -> str:
    """A finished run with a snapshot."""
    writer = store.begin([experiment], "thread")
    writer.record(source().started())
    writer.record(source().block(1, 20))
    writer.record(source().kept(20, "end"))
    writer.record(source().ended(20))
    writer.close()
    store.close()
    return writer.run_ids[0]


@pytest.mark.parametrize("table", TABLES)
def test_that_the_checksum_covers_all_columns_in_their_order(home, store, table):
    names = _columns(home, table)
    names.remove("checksum")
    assert names == [*TABLES[table].names]


def test_that_each_field_of_a_record_is_a_column():
    assert RUNS.names == tuple(field.name for field in dataclasses.fields(RunRecord))
    assert STUDIES.names == tuple(field.name for field in dataclasses.fields(StudyRecord))
    assert STUDY_RUNS.names == tuple(field.name for field in dataclasses.fields(StudyRun))
    names = [field.name for field in dataclasses.fields(SnapshotRecord)]
    assert [*TABLES["snapshots"].names, "intact"] == names


def test_that_a_new_record_has_the_defaults_of_the_schema(home, store):
    ours = {}
    for field, column in zip(dataclasses.fields(RunRecord), RUNS.fields, strict=True):
        if field.default is not dataclasses.MISSING:
            ours[field.name] = column.encode(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            ours[field.name] = column.encode(field.default_factory())
    connection = sqlite3.connect(home / "optlab.sqlite", isolation_level=None)
    defaults = {
        row[1]: row[4]
        for row in connection.execute("PRAGMA table_info(runs)")
        if row[4] is not None
    }
    assert defaults.keys() == ours.keys() and {"final", "tracked"} < ours.keys()
    for name, default in defaults.items():
        same = connection.execute(f"SELECT {default} IS ?", (ours[name],)).fetchone()
        assert same == (1,), name
    connection.close()


def _with_field_at_the_end(source: str, field: str) -> str:
    """The source of the records with one field more in ``RunRecord``."""
    (record,) = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == "RunRecord"
    )
    last = max(node.end_lineno for node in record.body if isinstance(node, ast.AnnAssign))
    lines = source.splitlines(keepends=True)
    return "".join([*lines[:last], field, *lines[last:]])


_NEW_FIELD = '    labels: tuple[str, ...] = column(_is_texts, json=True, default=("a",))\n'
_MIGRATION = "ALTER TABLE runs ADD COLUMN labels TEXT NOT NULL DEFAULT '[\"a\"]';\n"
_SCRIPT = """
import sqlite3, sys
from pathlib import Path
from optlab.experiment import Experiment
from optlab.store import Store
from optlab.store.records import RUNS

home, old = Path(sys.argv[1]), sys.argv[2]
before = (home / "optlab.sqlite").read_bytes()
with Store.open_readonly(home) as store:
    assert [(run.id, run.labels) for run in store.runs()] == [(old, ("a",))], store.hidden
assert (home / "optlab.sqlite").read_bytes() == before
with Store.open(home) as store:
    assert store.run(old).labels == ("a",)
    assert len(store.series(old)["batch_loss"].steps) == 20
    writer = store.begin([Experiment.from_toml(store.run(old).experiment)], "thread")
    new = writer.run_ids[0]
    writer._commit(RUNS.update(new, labels=["b", "c"]))
    writer.close()
    assert store.run(new).labels == ("b", "c")
    connection = sqlite3.connect(home / "optlab.sqlite", isolation_level=None)
    connection.execute("UPDATE runs SET labels = '[\\"d\\"]' WHERE id = ?", (old,))
    assert [run.id for run in store.runs()] == [new] and "checksum" in store.hidden
    connection.execute("UPDATE runs SET labels = '7', checksum = NULL WHERE id = ?", (old,))
    assert [run.id for run in store.runs()] == [new] and "its labels is '7'" in store.hidden
print("stored and read")
"""


def test_that_a_new_column_needs_a_field_and_a_migration_only(home, run, tmp_path):
    package = tmp_path / "copy" / "optlab"
    shutil.copytree(
        Path(optlab.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "gui")
    )
    records = package / "store" / "records.py"
    text = records.read_text(encoding="utf-8")
    records.write_text(_with_field_at_the_end(text, _NEW_FIELD), encoding="utf-8")
    number = len(migrations()) + 1
    (package / "store" / "migrations" / f"{number:04}_labels.sql").write_text(_MIGRATION)
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(home), run],
        check=False,
        capture_output=True,
        text=True,
        cwd=package.parent,
        env={"PYTHONPATH": str(package.parent), "PATH": "", "OMP_NUM_THREADS": "1"},
        timeout=60,
    )
    assert done.stdout == "stored and read\n", done.stderr


def test_that_a_migration_extends_checksums_and_keeps_damaged_rows_damaged(
    home, store, experiment, source
):
    ids = []
    for _ in range(3):
        writer = store.begin([experiment], "thread")
        writer.close()
        ids.append(writer.run_ids[0])
    store.close()
    path = home / "optlab.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE runs SET title = 'another' WHERE id = ?", (ids[0],))
    connection.execute("UPDATE runs SET checksum = NULL WHERE id = ?", (ids[1],))
    connection.close()
    scripts = [*migrations(), "ALTER TABLE runs ADD COLUMN remark TEXT NOT NULL DEFAULT 'none';\n"]
    connection = connect(path, scripts)
    covered = f"{RUNS.columns}, remark"
    states = connection.execute(
        f"SELECT id, checksum IS NULL, checksum = optlab_checksum({covered}) FROM runs"
    ).fetchall()
    connection.close()
    assert {run: state for run, *state in states} == {
        ids[0]: [0, 0],
        ids[1]: [1, None],
        ids[2]: [0, 1],
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_that_opening_an_older_store_to_read_changes_nothing(home, run, version, make_older):
    make_older(home, version)
    before = _bytes(home)
    with Store.open_readonly(home) as store:
        if version:
            assert [record.id for record in store.runs()] == [run] and store.hidden == ""
            assert store.run(run).status == "finished" and store.population(run)[0].id == run
            assert len(store.series(run)["batch_loss"].steps) == 20 and store.controls(run) == []
            assert store.latest_snapshot(run).step == 20
        else:
            assert store.runs() == [] and store.hidden == ""
        assert store.studies() == [] and store.study_runs("study-1") == [] and store.hidden == ""
        with pytest.raises(InvalidInput, match="no study"):
            store.study("study-")
        with pytest.raises(StoreError):
            store.begin([], "thread")
    assert _bytes(home) == before
    with Store.open(home) as store:
        assert [record.id for record in store.runs()] == ([run] if version else [])
        store.begin_study("", "What is new?").close()
        assert [study.status for study in store.studies()] == ["interrupted"]


def test_that_a_damaged_row_of_an_older_store_is_not_shown_as_intact(home, run, monkeypatch):
    connection = sqlite3.connect(home / "optlab.sqlite", isolation_level=None)
    connection.execute("UPDATE runs SET title = 'another'")
    connection.close()
    scripts = [*migrations(), "ALTER TABLE runs ADD COLUMN remark TEXT NOT NULL DEFAULT 'none';\n"]
    monkeypatch.setattr("optlab.store.database.migrations", lambda: scripts)
    with Store.open_readonly(home) as store:
        assert store.runs() == [] and "does not match its checksum" in store.hidden


def test_that_a_store_opened_to_read_cannot_be_written(home, run):
    with (
        Store.open_readonly(home) as store,
        pytest.raises(sqlite3.OperationalError, match=r"readonly|read-only"),
    ):
        store._connection.execute("UPDATE runs SET title = 'x'")


def test_that_checksums_of_many_rows_are_those_of_each():
    texts = ["", "a", "a", "a", 'line\nbreak ", [x] \\', "ä🙂", "1"]
    numbers = [1, 1.0, True, None, -7, 2.5e300, b"\xff"]
    rows = [(text, number, "same") for text in texts for number in numbers]
    assert checksums(rows) == [checksum(*row) for row in rows]
    assert checksums([]) == []
    assert len({checksum(1), checksum(1.0), checksum("1"), checksum(True)}) == 4
