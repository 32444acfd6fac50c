"""A damaged store keeps the studies that can be read, and each says what it lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from optlab.store import Store, StudyRun, soundness
from optlab.store.records import missing_runs

PAGE = 4096


def _root(home: Path, name: str) -> int:
    connection = sqlite3.connect(home / "optlab.sqlite")
    query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
    (root,) = connection.execute(query, (name,)).fetchone()
    connection.close()
    return root


def _zero_page(home: Path, number: int) -> None:
    with (home / "optlab.sqlite").open("r+b") as file:
        file.seek((number - 1) * PAGE)
        file.write(bytes(PAGE))
    # As if another process opened it.
    soundness.forget(home / "optlab.sqlite")


def _lose(home: Path, statement: str, *values: object) -> None:
    """Delete rows from a table but not from its index, as a page with fewer rows would."""
    connection = sqlite3.connect(home / "optlab.sqlite", isolation_level=None)
    table = statement.split()[2]
    index = f"sqlite_autoindex_{table}_1"
    (root, free), *_ = connection.execute(
        "SELECT rootpage, (SELECT rootpage FROM sqlite_master WHERE name = 'runs_by_time') "
        "FROM sqlite_master WHERE name = ?",
        (index,),
    )
    pages = (home / "optlab.sqlite").read_bytes()
    kept = pages[(root - 1) * PAGE : root * PAGE]
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute(statement, values)
    connection.close()
    with (home / "optlab.sqlite").open("r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(kept)
    assert free
    soundness.forget(home / "optlab.sqlite")


@pytest.fixture
def studies(home, runs) -> list[str]:
    """Two finished studies over the twenty runs; the store is closed."""
    ids = []
    with Store.open(home) as store:
        for name in ("first", "second"):
            writer = store.begin_study("# " + "long " * 3000, "Is a faster than b?", name)
            writer.add_runs(
                [
                    StudyRun(run=run, arm="ab"[number % 2], role="decides", seed=0, number=number)
                    for number, run in enumerate(runs)
                ]
            )
            writer.finish("finished", {"verdict": "supported", "runs": runs}, "it is decided")
            writer.close()
            ids.append(writer.id)
    return ids


@pytest.mark.parametrize(
    "name",
    [
        "studies",
        "sqlite_autoindex_studies_1",
        "study_runs",
        "sqlite_autoindex_study_runs_1",
        "study_runs_by_run",
        "runs",
        "sqlite_autoindex_runs_1",
    ],
)
def test_that_studies_outlive_the_loss_of_a_page_that_leads_to_them(home, runs, studies, name):
    with Store.open_readonly(home) as store:
        before = {study.id: (study, store.study_runs(study.id)) for study in store.studies()}
    leaf = name in ("studies", "study_runs") and _is_leaf(home, name)
    _zero_page(home, _root(home, name))
    for opening in (Store.open_readonly, Store.open):
        with opening(home) as store:
            assert store.notice and {record.id for record in store.runs()} == set(runs)
            if not leaf:
                assert "and 2 studies" in store.notice
                found = {study.id: (study, store.study_runs(study.id)) for study in store.studies()}
                assert found == before and "all of it could be" in store.notice
            elif name == "studies":
                assert store.studies() == []
                assert f"2 studies ({', '.join(sorted(studies))}) are lost" in store.notice
            else:
                for study in store.studies():
                    assert study.result == before[study.id][0].result
                    assert "damaged, and 20 of its 20 runs are lost" in study.reason
                assert "parts of 2 studies" in store.notice


def _is_leaf(home: Path, name: str) -> bool:
    with (home / "optlab.sqlite").open("rb") as file:
        file.seek((_root(home, name) - 1) * PAGE)
        return file.read(1) == b"\x0d"


def test_that_a_study_says_how_many_of_its_runs_are_lost(home, runs, studies):
    _lose(home, "DELETE FROM runs WHERE rowid <= 3")
    with Store.open(home) as store:
        assert len(store.runs()) == 17 and "3 runs (" in store.notice
        for study in store.studies():
            assert study.status == "finished" and study.result["runs"] == runs
            assert study.reason == (
                "it is decided; the store was damaged, and 3 of its 20 runs are lost"
            )
            assert [entry.run for entry in store.study_runs(study.id)] == runs[3:]
            assert "3 of its 20 runs are no longer stored" in missing_runs(
                study, store.study_runs(study.id)
            )
    with Store.open(home) as store:
        assert store.notice == "" and len(store.studies()) == 2


def test_that_a_running_study_that_lost_runs_is_interrupted_and_resumed(home, store, experiment):
    writer = store.begin([experiment] * 3, "thread")
    study = store.begin_study("", "Is a faster than b?")
    study.add_runs(
        [
            StudyRun(run=run, arm="a", role="decides", seed=0, number=number)
            for number, run in enumerate(writer.run_ids)
        ]
    )
    for one in (writer, study):
        one.close()
    store.close()
    _lose(home, "DELETE FROM study_runs WHERE number = 1")
    with Store.open(home) as store:
        record = store.study(study.id)
        assert record.status == "interrupted" and "1 of its 3 runs are lost" in record.reason
        assert len(store.runs()) == 3
        again = store.resume_study(study.id)
        assert [entry.number for entry in store.study_runs(study.id)] == [0, 2]
        again.close()
