"""``optlab export`` and ``optlab runs``: what was stored comes out again, number for number."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from optlab.cli.app import main
from optlab.experiment import Experiment
from optlab.store import Store, StoredSeries
from optlab.store.export import csv as csv_format
from optlab.store.export.table import stack, tabulate
from optlab.training.control import Inbox
from optlab.training.session import session

DOCUMENT = """
title = "A stored run"
[dataset]
name = "iris"
[model]
name = "mlp"
hidden = [3]
[measures]
weights = 4
evaluate_every = 4
[budget]
steps = 30
"""


@pytest.fixture
def run() -> str:
    """The name of a run of 30 steps in the test's own store."""
    experiment = Experiment.from_toml(DOCUMENT)
    with Store.open() as store:
        writer = store.begin([experiment], "thread")
    for event in session([experiment], Inbox()):
        writer.record(event)
    writer.close()
    return writer.run_ids[0]


def stored(run: str) -> Mapping[str, StoredSeries]:
    with Store.open_readonly() as store:
        return store.series(run)


def columns_of(series: Mapping[str, StoredSeries]) -> dict[str, dict[int, float]]:
    """Column name → step → value, put together without the code under test."""
    found: dict[str, dict[int, float]] = {}
    for name, one in series.items():
        for row, step in enumerate(one.steps.tolist()):
            if one.columns:
                for number, column in enumerate(one.columns):
                    found.setdefault(column, {})[step] = float(one.values[row, number])
            else:
                found.setdefault(name, {})[step] = float(one.values[row])
    return found


def test_that_csv_holds_every_number_that_was_stored_and_no_other(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.csv"
    assert main(["export", run, "--format", "csv", "--to", str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(31))
    expected = columns_of(stored(run))
    assert set(rows[0]) == {"step", *expected}
    assert {"batch_loss", "gradient_norm", "full_gradient_norm", "validation_error"} <= set(
        expected
    )
    weights = [name for name in expected if name.startswith("layers.")]
    assert len(weights) == 4
    for name, values in expected.items():
        assert {int(row["step"]): float(row[name]) for row in rows if row[name] != ""} == values
    evaluated = [int(row["step"]) for row in rows if row["validation_error"]]
    assert evaluated == [0, 4, 8, 12, 16, 20, 24, 28, 30]


def test_that_parquet_holds_the_same_and_says_what_run_it_was(run: str, tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    assert main(["export", run[:-1], "--format", "parquet", "--to", str(path)]) == 0
    table = pyarrow.parquet.read_table(path)
    steps = table["step"].to_pylist()
    expected = columns_of(stored(run))
    assert set(table.column_names) == {"step", *expected}
    for name, values in expected.items():
        column = table[name].to_pylist()
        assert {
            step: value for step, value in zip(steps, column, strict=True) if value is not None
        } == values
    about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert about["optlab.run"] == run
    assert about["optlab.status"] == "finished"
    assert Experiment.from_toml(about["optlab.experiment"]) == Experiment.from_toml(DOCUMENT)


def test_that_a_measured_nan_is_reported_from_an_empty_cell(tmp_path: Path) -> None:
    series = {
        "loss": StoredSeries(np.array([1, 2, 3]), np.array([1.0, np.nan, np.inf])),
        "weights": StoredSeries(
            np.array([2, 4]), np.array([[0.1, np.nan], [np.nan, 0.2]]), ("a[0]", "loss")
        ),
    }
    table = tabulate(series, {"title": "x"})
    assert table.steps.tolist() == [1, 2, 3, 4]
    assert [column.name for column in table.columns] == ["loss", "a[0]", "loss (2)"]
    assert [column.present.tolist() for column in table.columns] == [
        [1, 1, 1, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 1],
    ]
    from optlab.store.export import parquet

    csv_format.write(table, tmp_path / "t.csv")
    assert (
        tmp_path / "t.csv"
    ).read_text() == "step,loss,a[0],loss (2)\n1,1.0,,\n2,nan,0.1,\n3,inf,,\n4,,,0.2\n"
    parquet.write(table, tmp_path / "t.parquet")
    loss = pyarrow.parquet.read_table(tmp_path / "t.parquet")["loss"]
    assert loss.null_count == 1
    assert np.isnan(loss[1].as_py()) and loss[3].as_py() is None


def test_that_a_run_without_series_is_an_empty_table() -> None:
    table = tabulate({}, {})
    assert table.steps.tolist() == [] and table.columns == ()


@pytest.fixture
def population() -> list[str]:
    """Three runs that were trained together."""
    experiment = Experiment.from_toml(DOCUMENT)
    experiments = [experiment.with_value("seed", seed) for seed in range(3)]
    with Store.open() as store:
        writer = store.begin(experiments, "thread")
    for event in session(experiments, Inbox()):
        writer.record(event)
    writer.close()
    return list(writer.run_ids)


def other_run() -> str:
    """A run of another model, so of other weights, and shorter."""
    document = DOCUMENT.replace("hidden = [3]", "hidden = [2, 2]").replace(
        "steps = 30", "steps = 9"
    )
    experiment = Experiment.from_toml(document)
    with Store.open() as store:
        writer = store.begin([experiment], "thread")
    for event in session([experiment], Inbox()):
        writer.record(event)
    writer.close()
    return writer.run_ids[0]


def rows_by_run(path: Path) -> dict[str, dict[str, dict[int, float]]]:
    """Run → column → step → value of a CSV file; in the order of the file."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            run, step = row.pop("run"), int(row.pop("step"))
            own = found.setdefault(run, {})
            for name, text in row.items():
                if text != "":
                    own.setdefault(name, {})[step] = float(text)
    return found


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_that_several_runs_are_one_table_with_every_number_of_each(
    run: str,
    population: list[str],
    format: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / f"runs.{format}"
    runs = [population[1], other_run(), run]
    assert main(["export", *runs, "--format", format, "--to", str(path)]) == 0
    assert "72 rows" in capsys.readouterr().out
    expected = {one: columns_of(stored(one)) for one in runs}
    if format == "csv":
        found = rows_by_run(path)
    else:
        table = pyarrow.parquet.read_table(path)
        assert table.column_names[:2] == ["run", "step"]
        about = json.loads(table.schema.metadata[b"optlab.runs"])
        assert [one["run"] for one in about] == runs
        assert Experiment.from_toml(about[2]["experiment"]) == Experiment.from_toml(DOCUMENT)
        found = {}
        for row in table.to_pylist():
            own, step = found.setdefault(row.pop("run"), {}), row.pop("step")
            for name, value in row.items():
                if value is not None:
                    own.setdefault(name, {})[step] = value
    assert list(found) == runs and found == expected


def test_that_a_population_is_exported_by_the_name_of_one_of_its_runs(
    run: str, population: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "population.csv"
    arguments = ["export", population[2], "--population", "--format", "csv", "--to", str(path)]
    assert main(arguments) == 0
    assert rows_by_run(path) == {one: columns_of(stored(one)) for one in population}
    # A run that was trained alone is a population as well: the form does not depend on the number.
    arguments = ["export", run, "--population", "--format", "csv", "--to", str(path), "--force"]
    assert main(arguments) == 0
    assert list(rows_by_run(path)) == [run]


def test_that_a_run_that_is_named_twice_is_refused(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.csv"
    assert main(["export", run, run[:-1], "--format", "csv", "--to", str(path)]) == 2
    assert f"Run {run} is named twice" in capsys.readouterr().err and not path.exists()
    assert main(["export", run, "none", "--format", "csv", "--to", str(path)]) == 2
    assert "begins with 'none'" in capsys.readouterr().err and not path.exists()


def test_that_series_with_the_names_of_key_columns_are_told_apart(tmp_path: Path) -> None:
    series = {"run": StoredSeries(np.array([1]), np.array([2.0]))}
    table = stack({"x": tabulate(series, {}), "y": tabulate({}, {})}, {})
    csv_format.write(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "run,step,run (2)\nx,1,2.0\n"


def test_that_an_existing_file_is_kept_unless_reported_otherwise(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "precious.csv"
    path.write_text("mine")
    arguments = ["export", run, "--format", "csv", "--to", str(path)]
    assert main(arguments) == 2
    assert path.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    assert path.read_text().startswith("step,")


def test_that_a_failed_export_leaves_what_was_there_and_no_rest(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    path = folder / "precious.csv"
    path.write_text("mine")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(["export", run, "--format", "csv", "--to", str(path), "--force"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert [entry.name for entry in folder.iterdir()] == ["precious.csv"]
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("place", "reported"), [("", "is a folder"), ("nowhere/run.csv", "does not exist")]
)
def test_that_a_place_that_cannot_be_written_is_refused(
    place: str, reported: str, run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", run, "--format", "csv", "--to", str(tmp_path / place)]) == 2
    assert reported in capsys.readouterr().err


def test_that_parquet_without_pyarrow_says_what_to_do(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["export", run, "--format", "parquet", "--to", str(tmp_path / "x.parquet")]) == 1
    assert "pip install pyarrow" in capsys.readouterr().err
    assert not (tmp_path / "x.parquet").exists()


def test_that_runs_lists_what_is_stored(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(run) and "finished" in line and "A stored run" in line and " 30 " in line
    assert main(["runs", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["id"] == run and record["status"] == "finished" and record["steps"] == 30
    assert set(record["final"]) == {
        "train_loss",
        "validation_loss",
        "train_error",
        "validation_error",
        "test_loss",
        "test_error",
        "test_minus_train",
        "test_minus_validation",
        "margin",
        "validation_margin",
        "weight_norm",
        "gradient_norm",
        "gradient_norm_at_start",
    }
    assert Experiment.from_toml(record["experiment"]) == Experiment.from_toml(DOCUMENT)


def test_that_runs_without_a_store_says_how_to_make_one_and_makes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs"]) == 0
    assert "optlab run digits-mlp" in capsys.readouterr().out
    assert main(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert not (tmp_path / "optlab-home").exists()


def test_that_chosen_series_are_the_columns_and_an_unknown_one_is_refused(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "chosen.csv"
    chosen = ["--series", "train_loss", "--series", "weights"]
    command = ["export", run, "--format", "csv", "--to", str(path)]
    assert main([*command, *chosen]) == 0
    expected = columns_of({name: stored(run)[name] for name in ("train_loss", "weights")})
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    read = {
        name: {int(row["step"]): float(row[name]) for row in rows if row[name]}
        for name in rows[0]
        if name != "step"
    }
    assert read == expected and len(read) == 5
    path.unlink()
    capsys.readouterr()
    assert main([*command, "--series", "train_los"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"Run {run} has no series 'train_los'" in said and "train_loss" in said
    assert main(["export", run, "--format", "python", "--to", str(path), *chosen]) == 2
    assert "--series chooses columns" in " ".join(capsys.readouterr().err.split())
    assert not path.exists()
