"""A first look at a file, and the experiment that ``optlab import`` makes of it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.core import paths
from optlab.core.errors import InvalidInput
from optlab.entry import main
from optlab.experiment import Experiment
from optlab.outside.datafiles.preview import COLUMNS, ROWS, dataset, preview

TABLE = "species;length;count;note\n" + "".join(
    f"{'ab'[n % 2]};{n / 2:.1f};{n};w{n % 3}\n".replace(".", ",") for n in range(80)
)


def test_that_a_table_is_seen_with_its_dialect_kinds_and_a_likely_target(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(TABLE, encoding="utf-8")
    seen = preview(path)
    assert (seen.kind, seen.problem, seen.target, seen.width) == ("csv", "", "species", 4)
    assert [(c.name, c.kind) for c in seen.columns] == [
        ("species", "words"),
        ("length", "real"),
        ("count", "whole"),
        ("note", "words"),
    ]
    assert len(seen.rows) == ROWS and seen.rows[1] == ("b", "0,5", "1", "w1")
    assert (
        seen.choices["delimiter"] == "semicolon"
        and seen.choices["decimal"] == "comma"
        and seen.choices["header"] == "yes"
    )
    chosen = preview(path, target="count", delimiter="tab")
    assert "one column" in chosen.problem


def test_that_a_table_of_long_lines_is_seen_without_a_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(
        "".join(",".join(["0.123456789"] * 900) + "\n" for _ in range(60)), encoding="utf-8"
    )
    seen = preview(path)
    assert (
        seen.problem == ""
        and seen.width == 900
        and len(seen.columns) == COLUMNS == len(seen.rows[0])
    )


def test_that_arrays_are_seen(tmp_path: Path) -> None:
    x = np.arange(3 * 2 * 2).reshape(3, 2, 2) / 2
    np.savez(tmp_path / "a.npz", data=x, target=np.array(["u", "v", "u"]))
    seen = preview(tmp_path / "a.npz")
    assert (seen.kind, seen.count, seen.width, seen.target, seen.problem) == (
        "npz",
        3,
        5,
        "target",
        "",
    )
    assert [c.name for c in seen.columns] == [
        "data[0,0]",
        "data[0,1]",
        "data[1,0]",
        "data[1,1]",
        "target",
    ]
    assert seen.rows[1] == ("2", "2.5", "3", "3.5", "v")
    built: Any = dataset(seen.section())
    assert built.shape().inputs == (2, 2)


def test_that_looking_never_raises(tmp_path: Path) -> None:
    assert "cannot be read" in preview(tmp_path / "nowhere").problem
    assert "no training images" in preview(tmp_path).problem
    (tmp_path / "a.csv").write_text("a,b\n1\n", encoding="utf-8")
    seen = preview(tmp_path / "a.csv")
    assert "line 2" in seen.problem
    with pytest.raises(InvalidInput, match="line 2"):
        dataset(seen.section())


def test_that_import_writes_an_experiment_that_runs_and_replaces_only_what_it_may(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my table.csv"
    path.write_text(
        TABLE.replace(";note", "").replace(";w0", "").replace(";w1", "").replace(";w2", ""),
        encoding="utf-8",
    )
    assert main(["import", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["target"], document["outputs"], document["inputs"]) == (
        "csv",
        "species",
        2,
        [2],
    )
    written = Path(document["experiment"])
    asked = Experiment.load(written)
    assert asked.dataset.name == "csv_file" and asked.dataset.load().class_names == ("a", "b")
    assert main(["run", str(written), "--no-store", "--steps", "3"]) == 0
    assert main(["import", str(path)]) == 2
    before = written.read_text(encoding="utf-8")
    flags = ["--target", "length", "--column", "species=number"]
    assert main(["import", str(path), *flags, "--force"]) == 2
    assert "'species': 'a' is not a number" in capsys.readouterr().err
    assert written.read_text(encoding="utf-8") == before
    path.write_text(
        path.read_text(encoding="utf-8")
        .replace("species;", "0;")
        .replace("a;", "1;")
        .replace("b;", "2;"),
        encoding="utf-8",
    )
    assert main(["import", str(path), "--target", "length", "--force"]) == 0
    assert Experiment.load(written).dataset.shape().task == "regression"
    assert not paths.home().exists()


@pytest.mark.parametrize(
    "words, alike",
    [
        (["True", "TRUE", "false"], "'TRUE', 'True'"),
        (["yes", "no", "Yes"], "'Yes', 'yes'"),
        (["a b", "a  b", "c"], "'a  b', 'a b'"),
        (["1", "01", "2"], "'01', '1'"),
        (["1", "1.0", "2"], ""),
        (["0", "10", "2"], ""),
    ],
)
def test_that_classes_that_may_be_one_are_pointed_out(
    tmp_path: Path, words: list[str], alike: str
) -> None:
    path = tmp_path / "table.csv"
    rows = "".join(f"{number * 0.37},{words[number % 3]}\n" for number in range(12))
    path.write_text(f"size,kind\n{rows}", encoding="utf-8")
    notes = preview(path).notes
    assert len(notes) == bool(alike)
    assert all(note.startswith(f"The classes {alike} of column 'kind' differ") for note in notes)


def test_that_a_compressed_table_is_not_taken_for_images(tmp_path: Path) -> None:
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert preview(path).problem.endswith("is a compressed table; unpack it first (gunzip).")
