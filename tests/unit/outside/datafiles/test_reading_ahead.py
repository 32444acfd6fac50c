"""Large tables: progress, an end on request, and what stays in memory."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from optlab.catalogue.datasets import csv_file
from optlab.catalogue.datasets.csv_file import CSVFile
from optlab.core import data as core_data
from optlab.core.data import apply_by_columns, standardized
from optlab.outside.datafiles import table_text
from optlab.outside.datafiles.csv_table import read_table
from optlab.outside.datafiles.dialect import Dialect
from optlab.tasks.own_files import ImportTask, ReadingShare
from optlab.training.control import Inbox, Stop


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "large.csv"
    rows = "".join(f"{n / 7:.5f},{n % 13},{n % 3}\n" for n in range(30_000))
    path.write_text("a,b,t\n" + rows, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optlab.outside.datafiles.arrow_table.BLOCK", 1 << 13)
    monkeypatch.setattr(table_text, "BLOCK", 1 << 13)


def test_that_reading_ahead_tells_its_share_and_is_not_done_again(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = CSVFile.build({"path": str(table)}, "dataset")
    shares = list(dataset.prepare())
    assert len(shares) > 10 and shares == sorted(shares) and shares[-1] == 1.0
    assert shares[0] < 0.5
    monkeypatch.setattr(csv_file, "read_table", None)
    assert dataset.table().x[-1].tolist() == [round(29_999 / 7, 5), 29_999 % 13]
    assert list(dataset.prepare()) == []


def test_that_reading_that_is_given_up_leaves_nothing(table: Path) -> None:
    dataset = CSVFile.build({"path": str(table)}, "dataset")
    steps = dataset.prepare()
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert not any(key[0] == table for key in csv_file._tables)


def test_that_the_import_reports_and_ends_when_it_is_told_to_stop(table: Path) -> None:
    results = list(ImportTask(str(table), {}).run(Inbox()))
    assert sum(isinstance(result, ReadingShare) for result in results) > 5
    assert [
        type(result).__name__ for result in results if not isinstance(result, ReadingShare)
    ] == [
        "Preview",
        "TableReport",
        "DatasetPreview",
    ]
    csv_file._tables.clear()
    inbox = Inbox()
    inbox.put(Stop())
    stopped = list(ImportTask(str(table), {}).run(inbox))
    assert [type(result).__name__ for result in stopped] == ["Preview"]


def test_that_the_import_that_is_stopped_while_it_encodes_gives_no_result(table: Path) -> None:
    inbox, results = Inbox(), []
    for result in ImportTask(str(table), {}).run(inbox):
        results.append(result)
        if result == ReadingShare(1.0):
            inbox.put(Stop())
    assert results[-1] == ReadingShare(1.0) and len(results) > 5


def test_that_beside_a_large_table_no_other_is_kept(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "small.csv"
    other.write_text("a,t\n1,0\n2,1\n", encoding="utf-8")
    CSVFile.build({"path": str(table)}, "dataset").table()
    CSVFile.build({"path": str(other)}, "dataset").table()
    assert {key[0] for key in csv_file._tables} >= {table, other}
    monkeypatch.setattr(csv_file, "_LARGE_BYTES", 1000)
    CSVFile.build({"path": str(other), "task": "classes"}, "dataset").table()
    assert {key[0] for key in csv_file._tables} == {other}


def test_that_scaling_some_columns_at_a_time_gives_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(500, 7)) * 10.0 ** rng.integers(-3, 4, 7)
    expected, offset, scale = standardized(whole, slice(300))
    monkeypatch.setattr(core_data, "_BLOCK_BYTES", 1)
    parts = [whole[:300].copy(), whole[300:].copy()]
    found = apply_by_columns(parts, standardized)
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    np.testing.assert_array_equal(found, (offset, scale))


def test_that_tables_are_read_where_pyarrow_is_not_installed(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = read_table(table, Dialect())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    slow = read_table(table, Dialect())
    np.testing.assert_array_equal(fast.x, slow.x)
    np.testing.assert_array_equal(fast.y, slow.y)
