"""What the user says of runs: stored beside what was recorded, and undone where it deletes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.store import Store, database, records
from optlab.store.labels import Labels


@pytest.fixture
def runs(store: Store, experiment: Experiment, source) -> list[str]:
    """Two finished runs."""
    ids = []
    for number in range(2):
        with closing(store.begin([experiment], "thread")) as writer:
            writer.record(source().started())
            writer.record(source().block(1, 10 + number))
            writer.record(source().ended(10 + number))
        ids += writer.run_ids
    return ids


def test_that_labels_are_those_of_their_run(store: Store, runs: list[str]) -> None:
    store.label(
        {
            runs[0]: Labels(name="first", color=7, tags=("a", "b")),
            runs[1]: Labels(name="second", color=3, starred=True, note="odd at step 5"),
        }
    )
    store.label({runs[0]: Labels(add_tags=("c", "a"), remove_tags=("b",))})
    first, second = store.run(runs[0]), store.run(runs[1])
    assert (first.name, first.color, first.starred, first.tags) == ("first", 7, False, ("a", "c"))
    assert (second.name, second.color, second.starred) == ("second", 3, True)
    assert second.note == "odd at step 5" and second.tags == ()
    assert not store.hidden


def test_that_every_run_gets_another_color_than_the_one_before(
    store: Store, experiment: Experiment, runs: list[str]
) -> None:
    with closing(store.begin([experiment, experiment], "thread")) as writer:
        more = [store.run(run).color for run in writer.run_ids]
    colors = [store.run(run).color for run in runs] + more
    assert colors == [0, 1, 2, 3]


def test_that_a_run_in_progress_is_labeled_while_it_is_recorded(
    store: Store, experiment: Experiment, source
) -> None:
    with closing(store.begin([experiment], "thread")) as writer:
        (run,) = writer.run_ids
        writer.record(source().started())
        store.label({run: Labels(name="live")})
        writer.record(source().block(1, 20))
        writer.record(source().ended(20))
    record = store.run(run)
    assert record.name == "live" and record.steps == 20 and record.status == "finished"
    assert (record.epoch_steps, record.epoch_examples) == (10, 320)


def test_that_a_mark_of_deletion_is_taken_back_or_carried_out(
    store: Store, runs: list[str]
) -> None:
    store.mark_deleted(runs)
    assert store.runs() == []
    store.restore_deleted(runs[1:])
    assert [record.id for record in store.runs()] == runs[1:]
    assert store.purge("2000-01-01T00:00:00.000+00:00") == []
    assert store.run(runs[0]).steps == 10, "marked, but complete"
    assert store.purge(records.now() + "~") == runs[:1]
    with pytest.raises(InvalidInput, match="no run"):
        store.restore_deleted(runs[:1])
    assert store.series(runs[0]) == {} and store.series(runs[1])


def test_that_a_run_in_progress_is_not_marked(store: Store, experiment: Experiment) -> None:
    with closing(store.begin([experiment], "thread")) as writer:
        with pytest.raises(InvalidInput, match="stop it before"):
            store.mark_deleted(writer.run_ids)
        assert store.runs()


def test_that_versions_tell_which_rows_changed(store: Store, runs: list[str]) -> None:
    before = store.versions()
    assert set(before) == set(runs)
    store.label({runs[1]: Labels(starred=True)})
    after = store.versions()
    assert [run for run in runs if before[run] != after[run]] == runs[1:]
    plan = store._connection.execute("EXPLAIN QUERY PLAN SELECT id, checksum FROM runs").fetchall()
    assert "COVERING INDEX" in plan[0][-1]


def test_that_runs_of_an_older_file_get_colors_in_order(
    tmp_path: Path, experiment: Experiment, source, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "old"
    home.mkdir()
    connection = database.connect(home / database.NAME, database.migrations()[:6])
    for number in range(2):
        connection.execute(
            "INSERT INTO runs (id, title, experiment, status, owner, created, runner, versions, "
            "population, place) VALUES (?, 't', ?, 'finished', ?, ?, 'thread', '{}', ?, 0)",
            (f"r{number}", experiment.to_toml(), "0" * 16, records.now(), f"r{number}"),
        )
    columns = "id, title, experiment, status, owner, created, ended, runner, device, device_name, "
    columns += "versions, population, place, tracked, steps, seconds, final, theta_sha256, reason, "
    columns += "broken, detail, files, parent, at"
    connection.execute(f"UPDATE runs SET checksum = optlab_checksum({columns})")
    connection.close()
    with Store.open_readonly(home) as old:
        assert {record.color for record in old.runs()} == {-1} and not old.hidden
    with Store.open(home) as migrated:
        assert {record.id: record.color for record in migrated.runs()} == {"r0": 0, "r1": 1}
        assert not migrated.hidden


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (Labels(name="x" * 201), "201 characters"),
        (Labels(tags=(" a",)), "cannot be a tag"),
        (Labels(add_tags=("a,b",)), "cannot be a tag"),
        (Labels(color=-2), "counts from 0"),
        (Labels(tags=tuple(f"t{n}" for n in range(41))), "at most 40"),
    ],
)
def test_that_invalid_labels_change_nothing(
    store: Store, runs: list[str], labels: Labels, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        store.label({runs[0]: Labels(name="kept out"), runs[1]: labels})
    assert [record.name for record in store.runs()] == ["", ""]


def test_that_a_damaged_label_is_noticed(store: Store, runs: list[str], home: Path) -> None:
    connection = sqlite3.connect(home / database.NAME)
    connection.execute("UPDATE runs SET name = 'swapped' WHERE id = ?", (runs[0],))
    connection.commit()
    connection.close()
    assert [record.id for record in store.runs()] == runs[1:] and store.hidden
