"""CSV files: what is read, and what is refused in one sentence that names the place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.entry import main
from optlab.experiment import Experiment
from optlab.outside.datafiles.csv_table import Dialect, read_table
from optlab.training import events
from optlab.training.control import Inbox
from optlab.training.session import session

GOOD = "a,b,species\n1,2.5,x\n3,4,y\n5,6,x\n"


def write(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        GOOD.replace(".", "#").replace(",", ";").replace("#", ","),
        GOOD.replace("a,b", '"a","b"'),
        GOOD + "\n\n",
        GOOD.rstrip("\n"),
    ],
)
def test_that_the_same_table_is_read_however_it_is_written(tmp_path: Path, content: str) -> None:
    table = read_table(write(tmp_path, content), Dialect())
    np.testing.assert_array_equal(table.x, [[1.0, 2.5], [3.0, 4.0], [5.0, 6.0]])
    np.testing.assert_array_equal(table.y, [0, 1, 0])
    assert (table.names, table.target, table.class_names, table.task) == (
        ("a", "b"),
        "species",
        ("x", "y"),
        "classes",
    )


def test_that_a_table_without_header_numbers_its_columns(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "1,2,0\n3,4,1\n"), Dialect(target="1", task="regression"))
    assert table.names == ("column 2", "column 3") and table.target == "column 1"
    np.testing.assert_array_equal(table.y, [[1.0], [3.0]])


def test_that_the_task_follows_the_target(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, "a,b\n1,0\n2,1\n3,10\n"), Dialect()).class_names == (
        "0",
        "1",
        "10",
    )
    assert read_table(write(tmp_path, "a,b\n1,0.5\n2,1.5\n"), Dialect()).task == "regression"
    assert (
        read_table(
            write(tmp_path, "a,b\n" + "".join(f"1,{n}\n" for n in range(40))), Dialect()
        ).task
        == "regression"
    )


def test_that_missing_values_are_dropped_or_filled_where_asked(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b,t\n1,NA,x\n3,4,y\n,8,x\n5,6,x\n")
    dropped = read_table(path, Dialect(missing="drop"))
    assert dropped.dropped == 2
    filled = read_table(path, Dialect(missing="mean"))
    np.testing.assert_array_equal(dropped.x, [[3.0, 4.0], [5.0, 6.0]])
    np.testing.assert_array_equal(filled.x, [[1.0, 6.0], [3.0, 4.0], [3.0, 8.0], [5.0, 6.0]])


WRONG: dict[str, tuple[str | bytes, Dialect, list[str]]] = {
    "empty": ("", Dialect(), ["is empty"]),
    "only blank lines": ("\n\n  \n", Dialect(), ["is empty"]),
    "only a header": ("a,b,c\n", Dialect(), ["no rows"]),
    "one column": ("a\n1\n2\n", Dialect(), ["one column"]),
    "ragged": ("a,b,c\n1,2,3\n4,5\n", Dialect(delimiter="comma"), ["line 3", "2 columns", "3"]),
    "too long a row": ("a,b\n1,2\n1,2,3\n", Dialect(delimiter="comma"), ["line 3", "3 columns"]),
    "a word among numbers": (
        "a,b,t\n1,2,0\n1,oops,1\n",
        Dialect(header="yes"),
        ["line 3", "'b'", "'oops'", "not a number"],
    ),
    "a missing value": ("a,b,t\n1,,0\n", Dialect(header="yes"), ["line 2", "'b'", "missing"]),
    "every row incomplete": (
        "a,b,t\n1,,0\n,1,1\n",
        Dialect(header="yes", missing="drop"),
        ["none is left"],
    ),
    "an empty column": (
        "a,b,t\n1,,0\n2,,1\n",
        Dialect(header="yes", missing="mean"),
        ["'b'", "every value is missing"],
    ),
    "infinity": ("a,t\n1,0\ninf,1\n", Dialect(), ["line 3", "'inf'", "finite"]),
    "the same name twice": ("a,a,t\n1,2,0\n", Dialect(), ["'a'", "twice"]),
    "no such target": (
        GOOD,
        Dialect(target="specis"),
        ["'specis'", "did you mean species", "a, b, species"],
    ),
    "a target number too high": (GOOD, Dialect(target="9"), ["'9'"]),
    "one class": ("a,t\n1,x\n2,x\n", Dialect(), ["one value only"]),
    "words as real targets": (
        GOOD,
        Dialect(task="regression"),
        ["line 2", "'species'", "'x'", "not a number"],
    ),
    "latin-1": ("a,t\n1,caf\xe9\n".encode("latin-1"), Dialect(), ["line 2", "UTF-8"]),
    "binary": (b"PK\x03\x04\x00\x00", Dialect(), ["no text file"]),
    "an open quote": ('a,t\n"1,2\n3,4\n', Dialect(delimiter="comma"), ["quotes"]),
    "decimal comma said to be a point": (
        "a;t\n1,5;0\n2,5;1\n",
        Dialect(decimal="point", header="yes"),
        ["line 2", "'1,5'", "not a number"],
    ),
    "underscores": ("a,t\n1_000,0\n2,1\n", Dialect(header="yes"), ["'1_000'", "not a number"]),
    "thousands": (
        "a;t\n1.000,5;0\n2,0;1\n",
        Dialect(decimal="comma", header="yes"),
        ["'1.000,5'", "not a number"],
    ),
    "too many classes": (
        "a,t\n" + "".join(f"1,w{n}\n" for n in range(1200)),
        Dialect(),
        ["1,200", "classes"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_that_a_wrong_table_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    content, dialect, words = WRONG[case]
    path = write(tmp_path, content)
    with pytest.raises(InvalidInput) as refused:
        read_table(path, dialect)
    sentence = str(refused.value)
    assert "\n" not in sentence and str(path) in sentence
    for word in words:
        assert word in sentence, (word, sentence)


@pytest.mark.parametrize("case", ["ragged", "a word among numbers", "a missing value", "latin-1"])
def test_that_the_command_line_refuses_it_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("OPTLAB_HOME", str(home))
    path = write(tmp_path, WRONG[case][0])
    file = write(
        tmp_path,
        f'[dataset]\nname = "csv_file"\npath = \'{path}\'\nheader = "yes"\n[model]\nname = "linear"\n',
        "experiment.toml",
    )
    assert main(["run", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.strip().splitlines()) == 1 and str(path) in err
    assert not home.exists()


@pytest.mark.parametrize("path", ["", "nowhere.csv"])
def test_that_a_file_that_is_not_there_is_named(path: str) -> None:
    with pytest.raises(InvalidInput, match=r"dataset\.path"):
        registry.build("dataset", {"name": "csv_file", "path": path}).shape()  # type: ignore[attr-defined]


def test_that_a_table_of_ones_own_trains(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    lines = [f"{a};{b};{'in' if a + b > 0 else 'out'}" for a, b in x]
    path = write(tmp_path, "first;second;where\n" + "\n".join(lines).replace(".", ",") + "\n")
    asked = Experiment.from_dict(
        {
            "dataset": {"name": "csv_file", "path": str(path)},
            "model": {"name": "linear"},
            "optimizer": {"name": "sgd", "lr": 0.5},
            "budget": {"steps": 300},
        }
    )
    assert Experiment.from_toml(asked.to_toml()) == asked
    ended = [event for event in session([asked], Inbox()) if isinstance(event, events.RunEnded)]
    assert (
        ended[0].final["validation_error"] is not None
        and ended[0].final["validation_error"] <= 0.05
    )


def test_that_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    dataset = registry.build("dataset", {"name": "csv_file", "path": str(path)})
    assert dataset.shape().outputs == 2  # type: ignore[attr-defined]
    write(tmp_path, GOOD + "7,8,z and more\n")
    assert dataset.shape().outputs == 3  # type: ignore[attr-defined]
