"""Studies in the store: begun, recorded, ended, resumed, interrupted and deleted."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from optlab.core.errors import InvalidInput, StoreError
from optlab.store import Store, StudyRun, StudyWriter, persistence
from optlab.store.records import STUDIES, STUDY_RUNS, missing_runs

DOCUMENT = 'question = "Is a faster than b?"\n'
RESULT = {"verdict": "supported", "interval": [-0.5, float("inf")], "arms": {"a": ["x"]}}


def _sql(home: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(home / "optlab.sqlite", isolation_level=None)
    rows = connection.execute(statement, values).fetchall()
    connection.close()
    return rows


def _runs(store: Store, experiment, count: int) -> list[str]:
    """Ended runs, one population."""
    writer = store.begin([experiment] * count, "thread")
    writer.interrupt("enough")
    writer.close()
    return list(writer.run_ids)


def _entries(ids: list[str]) -> list[StudyRun]:
    return [
        StudyRun(
            run=run,
            arm="ab"[number % 2],
            role="tunes" if number < 2 else "decides",
            seed=number // 2,
            setting={"optimizer.lr": 0.1 * number, "optimizer.name": "momentum"},
            number=number,
        )
        for number, run in enumerate(ids)
    ]


def _finished(store: Store, entries: list[StudyRun]) -> str:
    writer = store.begin_study(DOCUMENT, "Is a faster than b?", "a-vs-b")
    writer.add_runs(entries)
    writer.finish("finished", RESULT, "it is decided")
    writer.close()
    return writer.id


def test_that_a_study_is_stored_and_read(store, experiment):
    entries = _entries(_runs(store, experiment, 5))
    writer = store.begin_study(DOCUMENT, "Is a faster than b?", "a-vs-b")
    begun = store.study(writer.id)
    assert (begun.question, begun.name, begun.document) == (
        "Is a faster than b?",
        "a-vs-b",
        DOCUMENT,
    )
    assert begun.going and begun.status == "running" and begun.result == {} and begun.ended == ""
    assert set(begun.versions) == {"optlab", "torch", "numpy", "python"}
    writer.add_runs(entries[:3])
    writer.add_runs(entries[3:])
    writer.note_progress(12.5)
    writer.finish("finished", RESULT, "it is decided")
    writer.close()
    writer.close()
    ended = store.study(writer.id)
    assert ended.status == "finished" and ended.result == RESULT and ended.reason == "it is decided"
    assert ended.seconds == 12.5 and ended.created <= ended.ended and ended.runs == 5
    found = store.study_runs(writer.id)
    assert [entry.run for entry in found] == [entry.run for entry in entries]
    assert {entry.study for entry in found} == {writer.id}
    for entry, expected in zip(found, entries, strict=True):
        assert (entry.arm, entry.role, entry.seed) == (expected.arm, expected.role, expected.seed)
        assert entry.setting == expected.setting and entry.number == expected.number
    assert missing_runs(ended, found) == "" == store.hidden
    assert not list((store.home / "locks").iterdir())


def test_that_studies_are_listed_by_time_and_found_by_a_prefix(store):
    ids = []
    for _ in range(3):
        writer = store.begin_study(DOCUMENT, "Is a faster than b?")
        writer.close()
        ids.append(writer.id)
    _sql(store.home, "UPDATE studies SET created = '2026-01-0' || rowid || 'T00:00:00+00:00'")
    _sql(store.home, "UPDATE studies SET checksum = NULL")
    assert [study.id for study in store.studies()] == ids[::-1]
    assert [study.id for study in store.studies(newest_first=False)] == ids
    assert store.study(ids[1]).id == ids[1] and store.study(ids[1][:-1]).id == ids[1]
    with pytest.raises(InvalidInput, match=r"3 studies have ids that begin with 'study-'"):
        store.study("study-")
    for name in ("", "20", "study-none"):
        with pytest.raises(InvalidInput, match=rf"no study whose id begins with '{name}'\."):
            store.study(name)
    with pytest.raises(InvalidInput, match="no run whose id"):
        store.run(ids[0])


def test_that_many_runs_are_added_and_dropped(store, experiment):
    ids = _runs(store, experiment, 1200)
    writer = store.begin_study(DOCUMENT, "Is a faster than b?")
    writer.add_runs(_entries(ids))
    assert len(store.study_runs(writer.id)) == 1200 == store.study(writer.id).runs
    writer.drop_runs(ids[100:])
    writer.drop_runs(ids[100:])
    assert [entry.run for entry in store.study_runs(writer.id)] == ids[:100]
    study = store.study(writer.id)
    assert study.runs == 100 and missing_runs(study, store.study_runs(writer.id)) == ""
    assert len(store.runs()) == 1200
    writer.close()


def test_that_a_run_that_is_added_again_is_described_anew(store, experiment):
    (run,) = _runs(store, experiment, 1)
    writer = store.begin_study(DOCUMENT, "Is a faster than b?")
    for arm in ("a", "b"):
        writer.add_runs([StudyRun(run=run, arm=arm, role="decides", seed=0, number=0)])
    (entry,) = store.study_runs(writer.id)
    assert entry.arm == "b" and entry.setting == {} and store.study(writer.id).runs == 1
    writer.close()


def test_that_a_run_that_is_not_stored_is_refused_and_none_is_added(store, experiment):
    entries = _entries(_runs(store, experiment, 2))
    writer = store.begin_study(DOCUMENT, "Is a faster than b?")
    absent = StudyRun(run="20260101-000000-none", arm="a", role="decides", seed=0, number=2)
    with pytest.raises(StoreError, match=r"20260101-000000-none cannot be part .* not stored"):
        writer.add_runs([*entries, absent])
    assert store.study_runs(writer.id) == [] and store.study(writer.id).runs == 0
    writer.close()


def test_that_time_is_stored_once_a_second_at_most_and_at_the_end(store):
    writer = store.begin_study(DOCUMENT, "Is a faster than b?")
    writer.note_progress(1.0)
    writer.note_progress(1.5)
    assert store.study(writer.id).seconds == 1.0 and writer.seconds == 1.5
    writer.finish("stopped", {}, "asked")
    assert store.study(writer.id).seconds == 1.5
    writer.close()
    with pytest.raises(StoreError, match=f"Study {writer.id} is closed"):
        writer.finish("finished", {})


@pytest.mark.parametrize("status", ["stopped", "failed", "interrupted"])
def test_that_a_study_that_ended_early_is_resumed_under_its_id(store, experiment, status):
    ids = _runs(store, experiment, 4)
    writer = store.begin_study(DOCUMENT, "Is a faster than b?")
    writer.add_runs(_entries(ids))
    writer.note_progress(7.0)
    if status != "interrupted":
        writer.finish(status, {}, "why", "a traceback")
    writer.close()
    assert store.study(writer.id).status == status and store.study(writer.id).resumable
    store.delete(ids[0])
    again = store.resume_study(writer.id[:-1])
    record = store.study(writer.id)
    assert (again.id, again.seconds) == (writer.id, 7.0)
    assert (record.status, record.reason, record.detail, record.ended) == ("running", "", "", "")
    # The one that was deleted may be computed again: it is no longer counted.
    assert record.runs == 3 and [entry.run for entry in store.study_runs(again.id)] == ids[1:]
    again.finish("finished", RESULT)
    again.close()
    assert store.study(writer.id).status == "finished"


def test_that_a_study_that_runs_or_has_reached_its_end_is_not_resumed(store):
    writer = store.begin_study(DOCUMENT, "Is a faster than b?")
    with pytest.raises(InvalidInput, match="is running, so there is nothing to resume"):
        store.resume_study(writer.id)
    writer.finish("finished", RESULT)
    writer.close()
    with pytest.raises(InvalidInput, match=r"is finished, .*: it has reached its end"):
        store.resume_study(writer.id)
    assert not list((store.home / "locks").iterdir())


def test_that_a_study_whose_owner_let_go_is_interrupted_and_one_that_is_owned_is_not(home, store):
    held, dropped = (store.begin_study(DOCUMENT, "Is a faster than b?") for _ in range(2))
    dropped.close()
    with Store.open_readonly(home) as reader:
        shown = reader.study(dropped.id)
        assert (shown.status, shown.reason) == (
            "interrupted",
            "its process ended before the study did",
        )
        assert reader.study(held.id).status == "running"
    assert store.study(dropped.id).status == "interrupted"
    assert store.study(held.id).status == "running"
    held.close()


def test_that_a_deleted_run_leaves_its_study_which_says_so(store, experiment):
    ids = _runs(store, experiment, 4)
    study = _finished(store, _entries(ids))
    store.delete(ids[1])
    record, left = store.study(study), store.study_runs(study)
    assert [entry.run for entry in left] == [ids[0], *ids[2:]]
    assert record.result == RESULT and record.status == "finished"
    assert missing_runs(record, left) == (
        f"Study {study}: 1 of its 4 runs is no longer stored; its result was found with all of them."
    )
    store.delete(ids[0])
    assert "2 of its 4 runs are no longer" in missing_runs(record, store.study_runs(study))


def test_that_a_deleted_study_keeps_its_runs_unless_asked(home, store, experiment, source):
    writer = store.begin([experiment], "thread")
    writer.record(source().kept(20, "end"))
    writer.record(source().ended(20))
    writer.close()
    ids = [*writer.run_ids, *_runs(store, experiment, 3)]
    first, second = _finished(store, _entries(ids)), _finished(store, _entries(ids[3:]))
    third = _finished(store, _entries(ids))
    store.delete_study(third, with_runs=False)
    assert len(store.runs()) == 4 and len(store.studies()) == 2
    # What another study has, too, stays.
    store.delete_study(first[:-1], with_runs=True)
    assert [record.id for record in store.runs()] == [ids[3]]
    assert [study.id for study in store.studies()] == [second]
    assert not (home / "snapshots" / ids[0]).exists()
    assert _sql(home, "SELECT study, run FROM study_runs") == [(second, ids[3])]


def test_that_runs_in_progress_and_studies_in_progress_are_not_deleted(store, experiment):
    going, study = store.begin([experiment], "thread"), store.begin_study(DOCUMENT, "Is a faster?")
    study.add_runs(_entries(list(going.run_ids)))
    with pytest.raises(InvalidInput, match="is running; stop it before you delete it"):
        store.delete_study(study.id, with_runs=True)
    study.finish("stopped", {})
    study.close()
    store.delete_study(study.id, with_runs=True)
    assert store.studies() == [] and store.run(going.run_ids[0]).status == "running"
    going.close()


@pytest.mark.parametrize("column", [*STUDIES.names, "checksum"])
def test_that_a_damaged_row_hides_its_study_alone_and_is_said(home, store, experiment, column):
    ids = _runs(store, experiment, 2)
    damaged, other = _finished(store, _entries(ids)), _finished(store, _entries(ids))
    _sql(home, "PRAGMA foreign_keys = OFF")
    value = _sql(home, f"SELECT {column} FROM studies WHERE id = ?", damaged)[0][0]
    changed = f"{value}1" if isinstance(value, str) else value + 64
    _sql(home, f"UPDATE studies SET {column} = ? WHERE id = ?", changed, damaged)
    for opening in (Store.open, Store.open_readonly):
        with opening(home) as opened:
            assert [study.id for study in opened.studies()] == [other]
            assert "A stored study has a damaged row" in opened.hidden
            assert opened.hidden.endswith("not listed, and the other studies are not affected.")
            assert len(opened.runs()) == 2 and opened.hidden.count("damaged row") == 1
            with pytest.raises((StoreError, InvalidInput), match=r"damaged row|more of the id"):
                opened.study(damaged)
            assert len(opened.study_runs(other)) == 2


@pytest.mark.parametrize("column", [*STUDY_RUNS.names, "checksum"])
def test_that_a_damaged_run_of_a_study_is_said_and_affects_no_other(
    home, store, experiment, column
):
    ids = _runs(store, experiment, 3)
    damaged, other = _finished(store, _entries(ids[:2])), _finished(store, _entries(ids[:2]))
    value = _sql(home, f"SELECT {column} FROM study_runs WHERE study = ?", damaged)[0][0]
    changed = ids[2] if column == "run" else f"{value}1" if isinstance(value, str) else value + 64
    where = "rowid = (SELECT min(rowid) FROM study_runs)"
    _sql(home, f"UPDATE study_runs SET {column} = ? WHERE {where}", changed)
    if column == "study":
        # It is no longer found by its study, which says that one is missing.
        assert "1 of its 2" in missing_runs(store.study(damaged), store.study_runs(damaged))
    else:
        with pytest.raises(StoreError, match=f"Study {damaged}: which runs it has is damaged"):
            store.study_runs(damaged)
    assert len(store.study_runs(other)) == 2 and len(store.studies()) == 2


# --- faults ---------------------------------------------------------------------------------------


_PROGRAM = """
import sys
from pathlib import Path
from optlab.experiment import Experiment
from optlab.store import Store, StudyRun

experiment = Experiment.from_dict({"dataset": {"name": "moons"}, "model": {"name": "mlp"}})
with Store.open(Path(sys.argv[1])) as store:
    study = store.begin_study("", "Does it outlive a kill?")
    print(study.id, flush=True)
    number = 0
    while True:
        writer = store.begin([experiment] * 4, "thread")
        entries = [
            StudyRun(run=run, arm="a", role="decides", seed=number + row, number=number + row)
            for row, run in enumerate(writer.run_ids)
        ]
        study.add_runs(entries)
        study.note_progress(float(number))
        number += 4
        writer.interrupt("enough")
        writer.close()
        print(number, flush=True)
"""


def kill_while_it_records(home: Path, past: int) -> tuple[str, int]:
    """Kill a program that records a study; its id, and how many runs it said it had added."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(home)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as program:
        assert program.stdout is not None
        study, added = program.stdout.readline().strip(), 0
        assert study
        for line in program.stdout:
            added = int(line)
            if added >= past:
                program.kill()
    return study, added


def check_killed(home: Path, study: str, added: int) -> None:
    with Store.open_readonly(home) as reader:
        assert reader.study(study).status == "interrupted" and reader.notice == reader.hidden == ""
    with Store.open(home) as store:
        record, found = store.study(study), store.study_runs(study)
        assert record.reason == "its process ended before the study did"
        assert added <= len(found) == record.runs <= added + 4
        assert [entry.number for entry in found] == list(range(len(found)))
        assert {entry.run for entry in found} <= {run.id for run in store.runs()}
        writer = store.resume_study(study)
        writer.drop_runs([entry.run for entry in found[-2:]])
        writer.finish("finished", RESULT)
        writer.close()
        assert store.study(study).runs == len(found) - 2 and store.notice == store.hidden == ""


def test_that_a_killed_study_keeps_what_was_added_and_is_resumed(tmp_path):
    home = tmp_path / "killed"
    study, added = kill_while_it_records(home, 20)
    check_killed(home, study, added)


def _fail(monkeypatch: pytest.MonkeyPatch, writer: StudyWriter, errors: int, code: int) -> None:
    """Let the first commits fail, after which nothing of them is there."""

    class Connection:
        def __init__(self, real: sqlite3.Connection) -> None:
            self.real, self.left = real, errors

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
            if sql == "COMMIT" and self.left:
                self.left -= 1
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = code
                raise error
            return self.real.execute(sql, *values)

    monkeypatch.setattr(writer, "_connection", Connection(writer._connection))


def test_that_a_write_that_fails_once_is_repeated(store, experiment, monkeypatch):
    monkeypatch.setattr(persistence, "PAUSES", (0.0, 0.0))
    entries = _entries(_runs(store, experiment, 3))
    for at in range(4):
        writer = store.begin_study(DOCUMENT, "Is a faster than b?")
        acts = [
            lambda writer=writer: writer.add_runs(entries),
            lambda writer=writer: writer.drop_runs([entries[-1].run]),
            lambda writer=writer: writer.note_progress(3.0),
            lambda writer=writer: writer.finish("finished", RESULT),
        ]
        for number, act in enumerate(acts):
            if number == at:
                _fail(monkeypatch, writer, 2, sqlite3.SQLITE_IOERR)
            act()
        writer.close()
        study = store.study(writer.id)
        assert (study.status, study.runs, study.seconds) == ("finished", 2, 3.0)
        assert len(store.study_runs(writer.id)) == 2


def test_that_a_reply_that_is_lost_counts_no_run_twice(store, experiment, monkeypatch):
    monkeypatch.setattr(persistence, "PAUSES", (0.0, 0.0))
    entries = _entries(_runs(store, experiment, 3))
    writer = store.begin_study(DOCUMENT, "Is a faster than b?")

    class Connection(type(writer._connection)):  # type: ignore[misc]
        left = 0

        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
            done = super().execute(sql, *values)
            if sql == "COMMIT" and self.left:
                self.left -= 1
                raise sqlite3.OperationalError("disk I/O error")
            return done

    from optlab.store import checksums

    own = sqlite3.connect(store.home / "optlab.sqlite", isolation_level=None, factory=Connection)
    own.execute("PRAGMA foreign_keys = ON")
    checksums.register(own)
    writer._connection.close()
    monkeypatch.setattr(writer, "_connection", own)
    for act in (
        lambda: writer.add_runs(entries),
        lambda: writer.drop_runs([entries[0].run]),
        lambda: writer.finish("finished", RESULT),
    ):
        own.left = 1
        act()
    writer.close()
    study = store.study(writer.id)
    assert study.runs == 2 and study.status == "finished"
    assert missing_runs(study, store.study_runs(writer.id)) == ""


def test_that_a_write_that_keeps_failing_is_said_and_leaves_the_study_as_it_was(
    home, store, experiment, monkeypatch
):
    monkeypatch.setattr(persistence, "PAUSES", (0.0, 0.0))
    entries = _entries(_runs(store, experiment, 3))
    writer = store.begin_study(DOCUMENT, "Is a faster than b?")
    writer.add_runs(entries[:1])
    _fail(monkeypatch, writer, 1000, sqlite3.SQLITE_IOERR)
    for act in (
        lambda: writer.add_runs(entries),
        lambda: writer.drop_runs([entries[0].run]),
        lambda: writer.note_progress(3.0),
        lambda: writer.finish("finished", RESULT),
    ):
        with pytest.raises(StoreError, match="runs cannot be read or written"):
            act()
    writer.close()
    study = store.study(writer.id)
    assert (study.status, study.runs, study.result, study.seconds) == ("interrupted", 1, {}, 0.0)
    assert [entry.run for entry in store.study_runs(writer.id)] == [entries[0].run]


def test_that_a_study_waits_while_the_disk_is_full(store, experiment, monkeypatch):
    class Watcher:
        said: list[str] = []  # noqa: RUF012

        def held(self, message: str) -> None:
            self.said.append(message)

        def resumed(self) -> None:
            self.said.append("on")

        def wait(self, seconds: float) -> bool:
            return True

    entries = _entries(_runs(store, experiment, 3))
    writer = store.begin_study(DOCUMENT, "Is a faster than b?")
    writer.set_watcher(Watcher())
    _fail(monkeypatch, writer, 10, sqlite3.SQLITE_FULL)
    writer.add_runs(entries)
    writer.close()
    assert "is full" in Watcher.said[0] and Watcher.said[1:] == ["on"]
    assert store.study(writer.id).runs == 3
