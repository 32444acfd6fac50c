"""Series: what was recorded is what is read, whatever came between, and damage is source instead of
read.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from optlab.core.errors import StoreError
from optlab.store import Store, StoredSeries
from optlab.store.chunks import ROWS
from optlab.store.series import _joined
from optlab.store.series_groups import SeriesGroups
from optlab.training.control import Follow
from optlab.training.events import (
    ActivityChanged,
    MessageApplied,
    Series,
    SeriesBlock,
    SessionEnded,
)


def _chunks(home: Path) -> list[tuple[int, int, int]]:
    connection = sqlite3.connect(home / "optlab.sqlite")
    found = connection.execute(
        "SELECT bundle, rows, sealed FROM chunks ORDER BY run, bundle, number"
    ).fetchall()
    connection.close()
    return found


def test_that_series_come_back_bit_for_bit_with_nan_and_vectors(store, experiment, source):
    session = source()
    writer = store.begin([experiment], "thread")
    writer.record(session.started())
    special = np.array([np.nan, np.inf, -0.0, 5e-324, 1.0])
    for first in range(1, 5001, 7):
        writer.record(session.block(first, first + 6))
    steps = np.arange(5005, 5010, dtype=np.int64)
    writer.record(SeriesBlock(5009, 5.0, {"odd": Series(steps, special[:, None])}))
    writer.record(SessionEnded())
    writer.close()

    found = store.series(writer.run_ids[0])
    every = np.arange(1, 5006)
    np.testing.assert_array_equal(found["batch_loss"].steps, every)
    assert found["batch_loss"].steps.dtype == np.int64
    np.testing.assert_array_equal(found["batch_loss"].values, session.loss(every)[:, 0])
    np.testing.assert_array_equal(found["gradient_norm"].values, session.loss(every)[:, 0] ** 2)
    np.testing.assert_array_equal(found["weights"].values, session.weights(every)[:, 0])
    assert found["weights"].columns == session.names
    np.testing.assert_array_equal(found["train_loss"].steps, every[every % 10 == 0])
    np.testing.assert_array_equal(found["odd"].values.view(np.int64), special.view(np.int64))


def test_that_only_the_series_asked_for_are_read(store, experiment, source):
    writer = store.begin([experiment], "thread")
    writer.record(source().block(1, 50))
    writer.close()
    assert set(store.series(writer.run_ids[0], ["train_loss"])) == {"train_loss"}


def test_that_the_open_chunk_is_rewritten_until_it_is_full(
    home, store, experiment, source, monkeypatch
):
    monkeypatch.setattr("optlab.store.writer.COMMIT_SECONDS", 0.0)
    monkeypatch.setattr("optlab.store.writer.COMMIT_SHARE", 1e9)
    writer = store.begin([experiment], "thread")
    session = source()
    for step in range(1, 2 * ROWS + 101):
        writer.record(session.block(step, step, every=10**9))
        if step == 10:
            assert _chunks(home) == [(0, 10, 0)]
    writer.close()
    assert _chunks(home) == [(0, ROWS, 1), (0, ROWS, 1), (0, 100, 0)]


def test_that_the_first_values_are_committed_at_once_and_others_wait(
    home, store, experiment, source, monkeypatch
):
    monkeypatch.setattr("optlab.store.writer.COMMIT_SECONDS", 1e9)
    writer = store.begin([experiment], "thread")
    writer.record(ActivityChanged(0, "running"))  # is committed, too
    session = source()
    writer.record(session.block(1, 5, every=10**9))
    assert _chunks(home) == [(0, 5, 0)]
    writer.record(session.block(6, 9, every=10**9))
    assert _chunks(home) == [(0, 5, 0)]
    writer.close()
    assert _chunks(home) == [(0, 9, 0)]


def test_that_series_whose_steps_agree_by_chance_do_not_change_their_chunks(
    home, store, experiment, source
):
    writer = store.begin([experiment], "thread")
    session = source()
    # Blocks of one step: an evaluation has the same steps as the rest in one block of ten.
    for step in range(1, 201):
        writer.record(session.block(step, step))
    writer.close()
    assert _chunks(home) == [(0, 200, 0), (1, 20, 0)]


def test_that_series_which_part_are_divided_and_stay_whole(store, experiment):
    writer = store.begin([experiment], "thread")
    both = np.arange(1, 11, dtype=np.int64)
    writer.record(
        SeriesBlock(10, 0.0, {name: Series(both, both[:, None] * 1.0) for name in ("a", "b")})
    )
    writer.record(
        SeriesBlock(
            12,
            0.0,
            {
                "a": Series(both + 10, both[:, None] * 2.0),
                "b": Series(both + 20, both[:, None] * 3.0),
            },
        )
    )
    writer.record(
        SeriesBlock(40, 0.0, {name: Series(both + 30, both[:, None] * 4.0) for name in ("a", "b")})
    )
    writer.close()
    found = store.series(writer.run_ids[0])
    np.testing.assert_array_equal(found["a"].steps, np.concatenate([both, both + 10, both + 30]))
    np.testing.assert_array_equal(found["b"].steps, np.concatenate([both, both + 20, both + 30]))
    np.testing.assert_array_equal(found["b"].values, np.concatenate([both, both * 3.0, both * 4.0]))


def test_that_weights_followed_later_get_columns_of_their_own(store, experiment, source):
    session = source()
    writer = store.begin([experiment], "thread")
    writer.record(session.started())
    writer.record(session.block(1, 10))
    writer.record(MessageApplied(10, Follow(("b[0]", "c[4]"))))
    writer.record(session.block(11, 20, count=2))
    writer.close()
    found = store.series(writer.run_ids[0])["weights"]
    assert found.columns == ("a[0]", "a[1]", "b[0]", "c[4]")
    assert store.run(writer.run_ids[0]).tracked == ("b[0]", "c[4]")
    early, late = np.arange(1, 11), np.arange(11, 21)
    np.testing.assert_array_equal(found.values[:10, :3], session.weights(early)[:, 0])
    np.testing.assert_array_equal(found.values[10:, 2:], session.weights(late, 2)[:, 0])
    assert np.isnan(found.values[:10, 3]).all() and np.isnan(found.values[10:, :2]).all()


def test_that_a_population_is_stored_as_rows_and_ended_runs_get_no_more(store, experiment, source):
    session = source(3)
    writer = store.begin([experiment] * 3, "thread")
    writer.record(session.started())
    writer.record(session.block(1, 100))
    gone = session.block(101, 110)
    for series in gone.series.values():
        series.values[4:, 1] = np.nan
    writer.record(gone)
    writer.record(session.ended(104, run=1))
    writer.record(session.block(111, 120))
    writer.close()
    for row, run in enumerate(writer.run_ids):
        found = store.series(run)["batch_loss"]
        steps = np.arange(1, 105 if row == 1 else 121)
        np.testing.assert_array_equal(found.steps, steps)
        np.testing.assert_array_equal(found.values, session.loss(steps)[:, row])
    assert [record.place for record in store.population(writer.run_ids[1])] == [0, 1, 2]


def test_that_a_run_has_no_row_of_a_step_at_which_only_others_were_measured(
    store, experiment, source
):
    """A run that ends between two evaluations is evaluated at its end, and no other run is."""
    session = source(2)
    writer = store.begin([experiment] * 2, "thread")
    writer.record(session.started())
    block = session.block(1, 30)
    steps = np.array([10, 17, 20, 30], dtype=np.int64)
    values = session.loss(steps)
    values[1, 1] = np.nan
    writer.record(
        SeriesBlock(30, 1.0, {**block.series, "train_loss": Series(steps, values)}),
    )
    writer.record(session.block(31, 50))
    writer.close()
    first, second = (store.series(run)["train_loss"] for run in writer.run_ids)
    assert first.steps.tolist() == [10, 17, 20, 30, 40, 50]
    assert second.steps.tolist() == [10, 20, 30, 40, 50]
    assert np.isfinite(second.values).all()


@pytest.mark.parametrize("where", [0, 4000, 20_000])
def test_that_a_damaged_byte_is_an_error_that_names_run_series_and_steps(
    home, store, experiment, source, where
):
    writer = store.begin([experiment], "thread")
    writer.record(source().block(1, 1500))
    writer.close()
    run = writer.run_ids[0]
    connection = sqlite3.connect(home / "optlab.sqlite")
    data = bytearray(
        connection.execute("SELECT data FROM chunks WHERE bundle = 0 AND number = 0").fetchone()[0]
    )
    data[where] ^= 1
    connection.execute("UPDATE chunks SET data = ? WHERE bundle = 0 AND number = 0", (bytes(data),))
    connection.commit()
    connection.close()
    with pytest.raises(
        StoreError,
        match=rf"{run}: steps 1 to 1,024 of batch_loss, gradient_norm, weights are damaged",
    ):
        store.series(run)
    assert len(store.series(run, ["train_loss"])["train_loss"].steps) == 150


def test_that_a_missing_chunk_is_an_error(home, store, experiment, source):
    writer = store.begin([experiment], "thread")
    writer.record(source().block(1, 3000))
    writer.close()
    connection = sqlite3.connect(home / "optlab.sqlite")
    connection.execute("DELETE FROM chunks WHERE bundle = 0 AND number = 1")
    connection.commit()
    connection.close()
    with pytest.raises(
        StoreError, match="before 2,049 of batch_loss, gradient_norm, weights are missing"
    ):
        store.series(writer.run_ids[0])


def test_that_a_reader_sees_what_is_committed_while_the_run_goes_on(
    home, store, experiment, source
):
    writer = store.begin([experiment], "thread")
    with Store.open_readonly(home) as reader:
        writer.record(source().block(1, 10))
        assert len(reader.series(writer.run_ids[0])["batch_loss"].steps) == 10
        writer.record(source().kept(10))
        assert reader.run(writer.run_ids[0]).status == "running"
        assert reader.run(writer.run_ids[0]).steps == 10
    writer.close()


def test_that_series_which_were_apart_are_not_joined_when_both_lose_their_fellows():
    # Going on, they may have been stored up to different steps.
    bundles = SeriesGroups([(("a", ()), ("b", ())), (("c", ()), ("d", ()))])
    steps = np.arange(1, 4, dtype=np.int64)
    block = {name: Series(steps, np.zeros((3, 1))) for name in ("a", "c")}
    assert [packed.specs for packed in bundles.pack(block, ())] == [(("a", ()),), (("c", ()),)]


def test_that_a_series_that_has_left_its_group_does_not_return_to_it(store, experiment):
    writer = store.begin([experiment], "thread")
    ten = np.arange(1, 11, dtype=np.int64)
    for start, names in ((0, ("a", "b")), (10, ("a",)), (20, ("a", "b"))):
        steps = ten + start
        block = {name: Series(steps, steps[:, None] * 1.0) for name in names}
        writer.record(SeriesBlock(start + 10, 0.0, block))
    writer.close()
    found = store.series(writer.run_ids[0])
    np.testing.assert_array_equal(found["a"].steps, np.arange(1, 31))
    np.testing.assert_array_equal(found["a"].values, np.arange(1.0, 31.0))
    np.testing.assert_array_equal(found["b"].steps, np.concatenate([ten, ten + 20]))


def test_that_values_of_groups_that_overlap_are_read_in_the_order_of_their_steps():
    early, late = np.array([0, 80]), np.array([4, 8])
    found = _joined([((), early, early[None] * 1.0), ((), late, late[None] * 1.0)])
    assert found.steps.tolist() == [0, 4, 8, 80] and found.values.tolist() == [0.0, 4.0, 8.0, 80.0]
    vectors = _joined([(("u",), early, early[None] * 1.0), (("v",), late, late[None] * 1.0)])
    assert vectors.columns == ("u", "v") and vectors.steps.tolist() == [0, 4, 8, 80]
    nan = np.nan
    np.testing.assert_array_equal(vectors.values, [[0, nan], [nan, 4], [nan, 8], [80, nan]])


def _stored(store, experiment, source, runs: int, steps: int) -> tuple[str, ...]:
    session = source(runs)
    writer = store.begin([experiment] * runs, "thread")
    writer.record(session.started())
    for first in range(1, steps, 500):
        writer.record(session.block(first, min(first + 499, steps)))
    writer.close()
    return writer.run_ids


def _equal(found: dict[str, StoredSeries], expected: dict[str, StoredSeries]) -> None:
    assert list(found) == list(expected)
    for name, one in expected.items():
        np.testing.assert_array_equal(found[name].steps, one.steps)
        np.testing.assert_array_equal(found[name].values, one.values)
        assert found[name].columns == one.columns


@pytest.mark.parametrize("names", [None, ["batch_loss"], ["train_loss", "weights"], ["none"], []])
def test_that_the_series_of_many_runs_are_those_of_each(store, experiment, source, names):
    ids = [
        *_stored(store, experiment, source, 5, 2600),
        *_stored(store, experiment, source, 1, 30),
        *_stored(store, experiment, source, 2, 0),
    ]
    found = store.series_of([*ids[::-1], "20260101-000000-none"], names)
    assert list(found) == [*ids[::-1], "20260101-000000-none"]
    assert found.pop("20260101-000000-none") == {}
    for run, own in found.items():
        _equal(own, store.series(run, names))
    assert store.series_of([]) == {}
    if names is None:
        loss = found[ids[3]]["batch_loss"]
        np.testing.assert_array_equal(
            loss.values, source(5).loss(np.arange(1, 2601, dtype=np.int64))[:, 3]
        )


def test_that_the_series_of_a_thousand_runs_are_read_by_few_statements(
    store, experiment, source, monkeypatch
):
    ids = _stored(store, experiment, source, 1100, 12)
    asked: list[str] = []
    store._connection.set_trace_callback(asked.append)
    found = store.series_of(ids, ["batch_loss"])
    store._connection.set_trace_callback(None)
    assert len(found) == 1100 and len([sql for sql in asked if sql.startswith("SELECT")]) == 6
    for row in (0, 499, 500, 1099):
        np.testing.assert_array_equal(
            found[ids[row]]["batch_loss"].values, source(1100).loss(np.arange(1, 13))[:, row]
        )


@pytest.mark.parametrize("statement", [
    "UPDATE chunks SET data = zeroblob(length(data)) WHERE run = ?",
    "UPDATE chunks SET rows = rows + 1 WHERE run = ?",
    "DELETE FROM chunks WHERE number = 0 AND run = ?",
    "UPDATE bundles SET columns = '[]' WHERE run = ?",
    "UPDATE bundles SET columns = CAST(x'ff41' AS TEXT) WHERE run = ?",
])  # fmt: skip
def test_that_damage_names_its_run_among_many(home, store, experiment, source, statement):
    ids = _stored(store, experiment, source, 3, 1100)
    connection = sqlite3.connect(home / "optlab.sqlite", isolation_level=None)
    connection.execute(statement, (ids[1],))
    connection.close()
    for read in (lambda: store.series_of(ids), lambda: store.series(ids[1])):
        with pytest.raises(StoreError, match=f"Run {ids[1]}: .* (damaged|missing)"):
            read()
    assert len(store.series_of([ids[0], ids[2]])) == 2
