"""CSV files: what is read, and what is refused in one sentence that names the place."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.entry import main
from optlab.experiment import Experiment
from optlab.outside.datafiles.csv_table import Table, read_rows, read_table
from optlab.outside.datafiles.dialect import Dialect
from optlab.outside.datafiles.table_columns import Plan
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


def test_that_missing_values_are_dropped_or_left_for_the_training_part_to_fill(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "a,b,t\n1,NA,x\n3,4,y\n,8,x\n5,6,x\n")
    dropped = read_table(path, Dialect(missing="drop"))
    assert dropped.dropped == 2
    kept = read_table(path, Dialect(missing="mean"))
    nan = np.nan
    np.testing.assert_array_equal(dropped.x, [[3.0, 4.0], [5.0, 6.0]])
    np.testing.assert_array_equal(kept.x, [[1.0, nan], [3.0, 4.0], [nan, 8.0], [5.0, 6.0]])


def test_that_missing_values_are_filled_with_the_mean_of_the_training_part_alone(
    tmp_path: Path,
) -> None:
    rows = [f"{number},{number % 2}" for number in range(40)]
    rows[3], rows[17] = ",1", "NA,1"
    path = write(tmp_path, "a,t\n" + "\n".join(rows) + "\n")
    section = {"name": "csv_file", "path": str(path), "missing": "mean", "standardize": False}
    data = registry.build("dataset", section).load()  # type: ignore[attr-defined]
    parts = (data.training.x, data.validation.x, data.test.x)
    known = {float(number) for number in range(40)} - {3.0, 17.0}
    of_training = [value for value in data.training.x[:, 0] if value in known]
    guesses = {value for part in parts for value in part[:, 0]} - known
    assert guesses == {np.mean(of_training)}


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
    "Parquet": (
        b"PAR1\x15\x04\x15\x90",
        Dialect(),
        ["is a Parquet table", "save it as CSV", "pandas.read_parquet("],
    ),
    "binary": (b"PK\x03\x04\x00\x00", Dialect(), ["not a text file"]),
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
        f'[dataset]\nname = "csv_file"\npath = \'{path}\'\nheader = "yes"\n[model]\nname = '
        '"linear"\n',
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


# --- what other people's tables look like (shared with other tools' bug reports) --------------------


def table_of(folder: Path, content: str, **dialect: Any) -> Table:
    return read_table(write(folder, content), Dialect(**dialect))


def test_that_a_header_of_numbers_over_a_column_of_classes_is_a_header(tmp_path: Path) -> None:
    body = "".join(f"{i / 7:.3f},{i / 3:.3f},{'abc'[i % 3]}x\n" for i in range(30))
    table = table_of(tmp_path, "0,1,species\n" + body)
    assert (len(table.x), table.names, table.class_names) == (30, ("0", "1"), ("ax", "bx", "cx"))


@pytest.mark.parametrize(
    "content",
    [
        "0,1,2,3\n" + "0.5,1.5,2.5,1\n1.5,0.5,0.25,0\n" * 5,
        "1;2;3\n" + "0,5;1,5;1\n1,5;0,5;0\n" * 5,
        "0,1,2,3,4,5\n" + "7,1,0,3,9,1\n3,4,0,2,8,0\n" * 5,
    ],
)
def test_that_numbers_of_columns_are_a_header(tmp_path: Path, content: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(content, encoding="utf-8")
    table = read_table(path, Dialect())
    assert (len(table.x), len(table.class_names)) == (10, 2)


@pytest.mark.parametrize(
    "content",
    [
        "0,1,2\n" + "2,0,1\n0,1,0\n" * 5,
        "0,1,2,3,4,5\n6,7,8,9,10,11\n" + "1,1,1,1,1,1\n" * 9,
        "0,1\n" + "0.5,0\n1.5,1\n" * 5,
        "0,1,3\n" + "0.5,1.5,1\n1.5,0.5,0\n" * 5,
    ],
)
def test_that_data_that_count_are_no_header(tmp_path: Path, content: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(content, encoding="utf-8")
    assert len(read_table(path, Dialect(task="regression")).x) == 11


def test_that_a_first_row_of_data_is_not_taken_for_a_header(tmp_path: Path) -> None:
    body = "".join(f"{i / 7:.3f},{'abc'[i % 3]}x\n" for i in range(30))
    assert len(table_of(tmp_path, body).x) == 30
    # A word that occurs once among words that occur once is no evidence.
    names = "".join(f"{i},{name}\n" for i, name in enumerate(("ada", "bob", "cy", "dee")))
    assert len(table_of(tmp_path, names, task="classes").x) == 4


def test_that_a_number_is_one_class_however_it_is_written(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a,t\n1,0\n2,1\n3,0.0\n4,1.0\n5,1e0\n6,-0\n")
    assert table.class_names == ("0", "1")
    np.testing.assert_array_equal(table.y, [0, 1, 0, 1, 1, 0])


def test_that_codes_with_leading_zeros_stay_apart(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a,t\n1,007\n2,7\n3,007\n4,7\n", task="classes")
    assert set(table.class_names) == {"007", "7"}


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_that_numbers_with_thousands_are_refused_with_advice(
    tmp_path: Path, delimiter: str
) -> None:
    rows = [f'{i}{delimiter}"{i + 100},{i + 200}"' for i in range(30)]
    content = f"area{delimiter}price\n" + "\n".join(rows) + "\n"
    dialect = {"decimal": "point"} if delimiter == ";" else {}
    with pytest.raises(InvalidInput, match=r"separates thousands.*dataset.decimal to comma"):
        table_of(tmp_path, content, **dialect)
    asked = table_of(tmp_path, content, decimal="comma")
    assert asked.task == "regression" and asked.y[0, 0] == 100.2
    assert len(table_of(tmp_path, content, task="classes", **dialect).class_names) == 30


def test_that_thousands_in_an_input_are_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"line 2, column 'price'.*separates thousands"):
        table_of(tmp_path, 'price,t\n"1,234",0\n"5,678",1\n')


def test_that_quoted_decimal_commas_are_read(tmp_path: Path) -> None:
    table = table_of(tmp_path, 'a,t\n"1,5","0,25"\n"2,5","1,75"\n3,"2,0"\n')
    assert table.task == "regression"
    np.testing.assert_array_equal(table.x[:, 0], [1.5, 2.5, 3.0])
    np.testing.assert_array_equal(table.y[:, 0], [0.25, 1.75, 2.0])


def test_that_a_class_for_almost_every_row_is_never_silent(tmp_path: Path) -> None:
    content = "a,who\n" + "".join(f"{i},person {i}\n" for i in range(20))
    with pytest.raises(InvalidInput, match="20 different words in 20 rows"):
        table_of(tmp_path, content)
    assert len(table_of(tmp_path, content, task="classes").class_names) == 20


@pytest.mark.parametrize("missing", ["refuse", "drop", "mean"])
def test_that_none_is_a_class_among_words(tmp_path: Path, missing: Any) -> None:
    content = "a,finding\n" + "".join(
        f"{i},{('none', 'mild', 'severe')[i % 3]}\n" for i in range(12)
    )
    table = table_of(tmp_path, content, missing=missing)
    assert table.class_names == ("mild", "none", "severe") and table.dropped == 0


def test_that_none_is_missing_among_numbers(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a,t\n1,0\n2,none\n3,1\n", missing="drop")
    assert table.class_names == ("0", "1") and table.dropped == 1


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("a|b|t\n1|2|0\n3|4|1\n", ("a", "b")),
        ("a,b,t,\n1,2,0,\n3,4,1,\n", ("a", "b")),
        ("1,0;2,5;0\n3,0;4,5;1\n", ("column 1", "column 2")),
        (",a,t\n0,1,0\n1,3,1\n", ("column 1", "a")),
    ],
)
def test_that_tables_as_they_come_are_read(
    tmp_path: Path, content: str, names: tuple[str, ...]
) -> None:
    table = table_of(tmp_path, content)
    assert (table.names, len(table.x)) == (names, 2)


def test_that_ignored_columns_are_neither_inputs_nor_the_last_column(tmp_path: Path) -> None:
    table = table_of(tmp_path, "id,a,t,note\n1,2,0,x\n2,4,1,y\n", ignore=("id", "4"))
    assert (table.names, table.target) == (("a",), "t")
    with pytest.raises(InvalidInput, match=r"no column 'idd'.*did you mean id") as refused:
        table_of(tmp_path, "id,a,t\n1,2,0\n2,4,1\n", ignore=("idd",))
    assert refused.value.field == "dataset.ignore"
    with pytest.raises(InvalidInput, match="leaves no input"):
        table_of(tmp_path, "a,t\n2,0\n4,1\n", ignore=("a",))


def test_that_a_last_column_that_fills_late_is_not_lost(tmp_path: Path) -> None:
    rows = [f"{i},{i % 2}," for i in range(300)] + ["7,1,5", "8,0,6"]
    table = table_of(tmp_path, "a,b,\n" + "\n".join(rows) + "\n", missing="drop")
    assert (table.names, table.target, len(table.x)) == (("a", "b"), "column 3", 2)


@pytest.mark.parametrize("reader", ["fast", "slow"])
def test_that_an_infinite_target_is_refused_with_its_line(tmp_path: Path, reader: str) -> None:
    quote = '"' if reader == "slow" else ""
    with pytest.raises(InvalidInput, match=r"line 3, column 't': 'inf' is not a finite number"):
        table_of(tmp_path, f"{quote}a{quote},t\n1,0.5\n2,inf\n3,1.5\n")


# --- the two readers --------------------------------------------------------------------------------

_NUMBER_CELLS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**6), 10**6).map(str),
    st.sampled_from(["NA", "", "nan", "NaN", "-", " 1.5 ", "1e5", ".5", "+3", "inf", "1_0", "x"]),
    st.sampled_from(["1,5", '"2.5"', '"7', '""', '" 3"', ' "4"']),
)
_WORD_CELLS = st.sampled_from(
    ["a", "b", " a ", '"x;y"', '"q""r"', '"l\nm"', 'a"b', '"a"b', '"a" ', ' "z"', "NA", '""', "é"]
)


def not_plain(plan: Plan) -> Generator[float, None, None]:
    """Read nothing, as the fast reader does with a table that is not plain."""
    yield from ()


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            _NUMBER_CELLS,
            _WORD_CELLS,
            _NUMBER_CELLS,
            st.sampled_from(["0", "1", "1.0", "b", "NA", ""]),
        ),
        min_size=1,
        max_size=12,
    ),
    missing=st.sampled_from(["refuse", "drop", "mean"]),
    quote=st.sampled_from(["double", "none"]),
    task=st.sampled_from(["auto", "classes", "regression"]),
    header=st.booleans(),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_that_both_readers_give_the_same_table_or_the_same_refusal(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str, str]],
    missing: Any,
    quote: Any,
    task: Any,
    header: bool,
    ending: str,
) -> None:
    lines = (["a;w;b;t"] if header else []) + [";".join(row) for row in rows]
    path = write(tmp_path_factory.mktemp("readers"), ending.join(lines))
    dialect = Dialect(
        "semicolon",
        "point",
        "yes" if header else "no",
        missing,
        task=task,
        quote=quote,
        columns=("2=category",),
    )

    def result() -> Any:
        try:
            return read_table(path, dialect)
        except InvalidInput as error:
            return str(error)

    fast = result()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("optlab.outside.datafiles.arrow_table.read", not_plain)
        slow = result()
    if isinstance(slow, str) or isinstance(fast, str):
        assert fast == slow
        return
    np.testing.assert_array_equal(fast.x, slow.x)
    np.testing.assert_array_equal(fast.y, slow.y)
    assert dataclasses.replace(fast, x=slow.x, y=slow.y) == slow


def test_that_a_plain_table_is_read_by_the_fast_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optlab.outside.datafiles.cell_table.read", None)
    assert len(table_of(tmp_path, "a,b,t\n1,2,x\n3,,y\n5,6,y\n", missing="drop").x) == 2


@pytest.mark.parametrize(
    ("content", "inputs"),
    [
        ("0,001;0,299;-0,274\n-0,455;-0,992;0,06\n-0,492;-0,62;0,49\n", 2),
        ("1,2,a;b\n3,4,c;d\n5,6,a;b\n", 2),
        ("1\t0,5\tx\n2\t1,5\ty\n3\t2,5\tx\n", 2),
        ('"Smith, J";1;x\n"Doe, J";2;y\n"Roe, R";3;x\n', 2),
    ],
)
def test_that_the_delimiter_leaves_clean_cells(tmp_path: Path, content: str, inputs: int) -> None:
    rows = read_rows(write(tmp_path, content), Dialect())
    assert len(rows.names) == inputs + 1 and len(rows.rows) == 3
