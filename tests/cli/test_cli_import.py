"""``optlab import``: tables as other programs write them, and the options for how they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.entry import main
from optlab.experiment import Experiment
from tests.customer_table import ROLES, write_customers


def write(folder: Path, content: str) -> str:
    path = folder / "table.csv"
    path.write_text(content, encoding="utf-8")
    return str(path)


def imported(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Return the document that the command prints."""
    assert main(["import", *arguments, "--to", "experiment.toml", "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_that_an_index_column_is_warned_of_and_can_be_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(
        tmp_path, ",a,b,target\n" + "".join(f"{i},{i % 7},{i % 5},{i % 2}\n" for i in range(20))
    )
    (note,) = imported(capsys, path)["notes"]
    assert note.startswith("Column 'column 1' counts the rows.")
    assert main(["import", path, "--to", "again.toml"]) == 0
    output = capsys.readouterr()
    assert note in output.err and note not in output.out
    document = imported(capsys, path, "--force", "--ignore", "column 1")
    assert (document["notes"], document["inputs"]) == ([], [2])
    data = Experiment.load(Path("experiment.toml")).dataset.load()
    assert data.input_names == ("a", "b")


@pytest.mark.parametrize("first", [0, 1])
def test_that_a_named_column_that_counts_the_rows_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first: int
) -> None:
    rows = "".join(f"{i + first},{i % 7},{i % 2}\n" for i in range(20))
    assert len(imported(capsys, write(tmp_path, "id,a,t\n" + rows))["notes"]) == 1
    # A year or a count that skips is an input like any other.
    rows = "".join(f"{i + 1990},{i % 7},{i % 2}\n" for i in range(20))
    assert imported(capsys, write(tmp_path, "year,a,t\n" + rows), "--force")["notes"] == []


def test_that_every_option_reaches_the_experiment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{i};{i},5;{i % 3};x\n" for i in range(12)) + "7;NA;1;x\n"
    path = write(tmp_path, rows)
    options = {
        "delimiter": "semicolon",
        "decimal": "comma",
        "header": "no",
        "missing": "mean",
        "task": "regression",
        "target": "3",
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    document = imported(capsys, path, *flags, "--ignore", "1", "--ignore", "4")
    assert {name: document["dataset"][name] for name in options} == options
    assert document["dataset"]["ignore"] == ["1", "4"]
    assert (document["inputs"], document["task"]) == ([1], "regression")
    assert Experiment.load(Path("experiment.toml")).dataset.values()["ignore"] == ["1", "4"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--delimiter", "colon"], "--delimiter is 'colon', but it must be one of auto, comma"),
        (["--task", "guess"], "--task is 'guess', but it must be one of auto, classes"),
        (["--ignore", "nowhere"], "has no column 'nowhere'"),
    ],
)
def test_that_a_wrong_option_is_one_sentence_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
) -> None:
    path = write(tmp_path, "a,t\n1,0\n2,1\n3,0\n")
    assert main(["import", path, "--to", "experiment.toml", *flags]) == 2
    output = capsys.readouterr()
    assert sentence in output.err and output.err.count("\n") == 1
    assert not Path("experiment.toml").exists()


def test_that_an_option_for_tables_is_refused_for_arrays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "a.npz", x=np.eye(6), y=np.arange(6) % 2)
    assert main(["import", "a.npz", "--to", "experiment.toml", "--decimal", "comma"]) == 2
    assert "read as an NPZ file; the option is for a CSV table" in capsys.readouterr().err
    assert imported(capsys, "a.npz", "--task", "regression")["task"] == "regression"


def test_that_a_table_with_a_class_called_none_trains_on_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{i},{('none', 'mild', 'severe')[i % 3]}\n" for i in range(30))
    document = imported(capsys, write(tmp_path, "a,finding\n" + rows), "--missing", "drop")
    assert document["outputs"] == 3


def test_that_a_table_of_customers_is_imported_with_roles_and_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_customers(tmp_path / "customers.csv"))
    assert main(["import", path, "--to", "experiment.toml"]) == 2
    assert "the value is missing" in capsys.readouterr().err
    flags = ["--missing", "median", "--column", "size=ordinal:S<M<L", "--class-weights"]
    document = imported(capsys, path, *flags)
    assert set(document["dataset"]["columns"]) == {*ROLES, "size=ordinal:S<M<L"} - {"size=category"}
    assert len(document["notes"]) == 1 and "'customer_id' has 240 different" in document["notes"][0]
    encoded = {column["name"]: column for column in document["encoded"]}
    assert encoded["size"]["inputs"] == ["size"] and "customer_id" not in encoded
    assert encoded["plan"]["inputs"] == ["plan=basic", "plan=plus", "plan=pro"]
    experiment = Experiment.load(Path("experiment.toml"))
    counts = np.bincount(experiment.dataset.load().training.y)
    weights = np.array(experiment.loss.values()["class_weights"])
    np.testing.assert_allclose(weights * counts, counts.sum() / 2, rtol=1e-5)
    assert main(["import", path, "--force", "--to", "experiment.toml", *flags]) == 0
    assert "ordinal:S<M<L" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--column", "a=categry"], "did you mean category"),
        (["--column", "b=category"], "has no column 'b'"),
        (["--encoding", "koi8"], "--encoding is 'koi8', but it must be one of auto, utf-8"),
        (["--class-weights", "--task", "regression"], "Class weights need classes"),
    ],
)
def test_that_wrong_roles_are_one_sentence_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
) -> None:
    path = write(tmp_path, "a,t\n1,0\n2,1\n3,0\n")
    assert main(["import", path, "--to", "experiment.toml", *flags]) == 2
    output = capsys.readouterr()
    assert sentence in output.err and output.err.count("\n") == 1
    assert not Path("experiment.toml").exists()


def test_that_what_the_options_say_of_writing_reaches_the_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "table.csv"
    rows = "".join(f"'Köln; {i % 2}';{i};{-999 if i == 3 else i % 5};{i % 2}\n" for i in range(20))
    path.write_bytes(("where;a;b;t\n" + rows).encode("latin-1"))
    flags = ["--quote", "single", "--encoding", "latin-1", "--missing-word=-999"]
    document = imported(capsys, str(path), *flags, "--missing", "indicator")
    assert document["dataset"]["columns"] == ["where=category"]
    data = Experiment.load(Path("experiment.toml")).dataset.load()
    assert {"where=Köln; 0", "where=Köln; 1"} <= set(data.input_names)
    assert sum(np.isclose(part.x, -999).any() for part in (data.training, data.test)) == 0


@pytest.mark.parametrize(
    ("encoding", "noted"), [("utf-8-sig", 0), ("utf-16", 0), ("cp1252", 1), ("latin-1", 1)]
)
def test_that_other_encodings_are_read_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str, noted: int
) -> None:
    path = tmp_path / "table.csv"
    # Windows-1252 has no character for the byte \x81 of Latin-1.
    words = ("thé", "café\x81" if encoding == "latin-1" else "café")
    rows = "".join(f"{i},{words[i % 2]}\n" for i in range(20))
    path.write_bytes(f"größe,t\n{rows}".encode(encoding))
    document = imported(capsys, str(path))
    assert document["outputs"] == 2
    assert sum("is not UTF-8" in note for note in document["notes"]) == noted
    data = Experiment.load(Path("experiment.toml")).dataset.load()
    assert data.input_names == ("größe",) and set(data.class_names) == set(words)


def test_that_a_column_of_numbers_and_words_becomes_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "a,b,t\n" + "1,2,0\n3,2,1\n5,oops,1\n7,2,0\n" * 5)
    assert imported(capsys, path)["dataset"]["columns"] == ["b=category"]
    data = Experiment.load(Path("experiment.toml")).dataset.load()
    assert data.input_names == ("a", "b=2", "b=oops")
    x = np.concatenate([part.x for part in (data.training, data.validation, data.test) if part])
    y = np.concatenate([part.y for part in (data.training, data.validation, data.test) if part])
    assert np.array_equal(x[:, 1] + x[:, 2], np.ones(20)) and x[:, 2].sum() == 5
    assert np.all(y[x[:, 2] == 1] == 1)
