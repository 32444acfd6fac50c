"""Inputs from columns: as scikit-learn encodes them, and from the training rows alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from optlab.catalogue.datasets.csv_file import CSVFile
from optlab.core.data import Data
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.outside.datafiles import encoding
from optlab.training.population import population_key
from tests.customer_table import COLUMNS, ROLES, rows_of_customers, write_customers

CUSTOMERS = {"target": "churn", "columns": ROLES, "missing": "indicator"}


def customers(path: Path, **fields: Any) -> CSVFile:
    return CSVFile.build({**CUSTOMERS, "path": str(path), **fields}, "dataset")


def rows_of(dataset: CSVFile) -> tuple[NDArray[np.int64], ...]:
    table = dataset.table()
    return dataset.split(len(table.x), table.y.astype(np.int64))


def inputs(dataset: CSVFile, data: Data, column: str) -> tuple[NDArray[np.float64], ...]:
    """Return the inputs of a column in each part, as the model gets them."""
    number = dataset.table().names.index(column)
    before = sum(map(len, dataset.column_inputs()[:number]))
    own = slice(before, before + len(dataset.column_inputs()[number]))
    return tuple(part.x[:, own] for part in (data.training, data.validation, data.test))


def raw(column: str) -> NDArray[Any]:
    """Return the cells of a column of the customers, None where they are missing."""
    cells = [row[COLUMNS.index(column)] for row in rows_of_customers()]
    return np.array([None if cell in ("", "NA", "n/a", "-") else cell for cell in cells], object)


@pytest.mark.parametrize("kind", ["utf-8-sig", "utf-8", "utf-16", "windows-1252"])
def test_that_a_table_is_the_same_however_it_is_stored(tmp_path: Path, kind: str) -> None:
    asked = kind if kind == "windows-1252" else "auto"
    dataset = customers(write_customers(tmp_path / "a.csv", encoding=kind), encoding=asked)
    table = dataset.table()
    cells = {column.name: column.cells for column in table.inputs}
    last = "Århus" if kind == "windows-1252" else "Łódź"
    assert (len(table.x), len(table.inputs), cells["city"][-1]) == (240, 18, last)
    written = {row[COLUMNS.index("comment")] for row in rows_of_customers()}
    assert set(cells["comment"]) == written - {"", "NA", "n/a", "-"}
    assert any("\n" in cell for cell in cells["comment"])
    assert any('"too expensive"' in cell for cell in cells["comment"])


@pytest.mark.parametrize(("missing", "strategy"), [("median", "median"), ("indicator", "mean")])
def test_that_numbers_are_imputed_and_scaled_as_scikit_learn_does_by_the_training_rows(
    tmp_path: Path, missing: str, strategy: str
) -> None:
    dataset = customers(write_customers(tmp_path / "a.csv"), missing=missing)
    data, rows = dataset.load(), rows_of(dataset)
    cells = raw("income")
    values = np.array([np.nan if c is None else float(c.replace(",", ".")) for c in cells])[:, None]
    imputer = SimpleImputer(strategy=strategy, add_indicator=missing == "indicator")
    scaler = StandardScaler()
    imputer.fit(values[rows[0]])
    scaler.fit(imputer.transform(values[rows[0]])[:, :1])
    for own, part in zip(rows, inputs(dataset, data, "income"), strict=True):
        expected = imputer.transform(values[own])
        expected[:, :1] = scaler.transform(expected[:, :1])
        np.testing.assert_allclose(part, expected, rtol=1e-10, atol=1e-12)


def test_that_words_are_encoded_as_scikit_learn_does_by_the_training_rows(tmp_path: Path) -> None:
    dataset = customers(write_customers(tmp_path / "a.csv"))
    data, rows = dataset.load(), rows_of(dataset)
    cells = np.array([cell or "(missing)" for cell in raw("city")], object)[:, None]
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(cells[rows[0]])
    names = [name.removeprefix("x0_") for name in encoder.get_feature_names_out()]
    number = dataset.table().names.index("city")
    ours = [name.removeprefix("city=") for name in dataset.column_inputs()[number]]
    assert sorted(ours) == sorted(names)
    order = [names.index(name) for name in ours]
    for own, part in zip(rows, inputs(dataset, data, "city"), strict=True):
        np.testing.assert_array_equal(part, encoder.transform(cells[own])[:, order])


def test_that_a_row_of_the_test_part_changes_nothing_of_the_training_part(tmp_path: Path) -> None:
    before = customers(write_customers(tmp_path / "a.csv"))
    data, rows = before.load(), rows_of(before)
    planted = int(rows[2][0])

    def plant(cells: list[list[str]]) -> None:
        row = cells[planted]
        for column, cell in {
            "income": "9999999999,5",
            "age": "",
            "basket": "-1000000",
            "city": "Atlantis",
            "postcode": "",
            "comment": "xylophone " * 9,
            "signup_date": "1900-01-01",
            "size": "XXXL",
        }.items():
            row[COLUMNS.index(column)] = cell

    after = customers(write_customers(tmp_path / "b.csv", change=plant))
    changed = after.load()
    assert after.column_inputs() == before.column_inputs()
    for part, other in ((data.training, changed.training), (data.validation, changed.validation)):
        np.testing.assert_array_equal(part.x, other.x)
    np.testing.assert_array_equal(data.offset, changed.offset)
    np.testing.assert_array_equal(data.scale, changed.scale)
    place = list(rows_of(after)[2]).index(planted)
    assert not np.array_equal(data.test.x[place], changed.test.x[place])
    # A word that no training row has is no input.
    assert not inputs(after, changed, "city")[2][place].any()


def test_that_a_training_row_does_change_it(tmp_path: Path) -> None:
    before = customers(write_customers(tmp_path / "a.csv"))
    planted = int(rows_of(before)[0][0])

    def plant(cells: list[list[str]]) -> None:
        cells[planted][COLUMNS.index("income")] = "9999999999,5"
        cells[planted][COLUMNS.index("city")] = "Atlantis"

    after = customers(write_customers(tmp_path / "b.csv", change=plant))
    names = {name for inputs in after.column_inputs() for name in inputs}
    assert "city=Atlantis" in names
    assert after.load().scale.max() > 100 * before.load().scale.max()


def test_that_inputs_of_words_are_not_scaled_and_all_others_are(tmp_path: Path) -> None:
    dataset = customers(write_customers(tmp_path / "a.csv"))
    data = dataset.load()
    binary = dataset.unscaled()
    assert binary is not None and data.input_names is not None
    assert set(np.unique(data.training.x[:, binary])) == {0.0, 1.0}
    np.testing.assert_allclose(data.training.x[:, ~binary].std(axis=0), 1.0)
    words = [name for name, is_word in zip(data.input_names, binary, strict=True) if is_word]
    assert {"city=Bonn", "income=(missing)", "comment: invoice"} <= set(words)


def test_that_rare_words_share_an_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "MAX_CATEGORIES", 2)
    words = [*"a" * 12, *"b" * 9, *"cde", ""]
    content = "w,x,t\n" + "".join(f"{word},{i},{i % 2}\n" for i, word in enumerate(words))
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    fields: dict[str, Any] = {"validation": 0.0, "test": 0.0, "standardize": False}
    fields |= {"columns": ("w=category",), "missing": "mean"}
    dataset = CSVFile.build({"path": str(tmp_path / "t.csv"), **fields}, "dataset")
    assert dataset.column_inputs()[0] == ("w=a", "w=b", "w=(other)", "w=(missing)")
    x = dataset.load().training.x
    by_row = x[np.argsort(x[:, 4]), :4]
    expected = [[word == "a", word == "b", word in ("c", "d", "e"), not word] for word in words]
    np.testing.assert_array_equal(by_row, np.array(expected, dtype=float))


def test_that_a_calendar_is_a_circle(tmp_path: Path) -> None:
    content = "day,t\n" + "".join(f"2024-01-{day:02},{day % 2}\n" for day in range(1, 29))
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    fields = {"validation": 0.0, "test": 0.0, "standardize": False, "columns": ("day=calendar",)}
    data = CSVFile.build({"path": str(tmp_path / "t.csv"), **fields}, "dataset").load()
    x = data.training.x[np.argsort(data.training.x[:, 0])]
    np.testing.assert_allclose(x[:, 1] ** 2 + x[:, 2] ** 2, 1.0)
    np.testing.assert_allclose(x[7:, 3:], x[:-7, 3:], atol=1e-9)
    assert not np.allclose(x[1:, 3:], x[:-1, 3:])


def test_that_runs_with_other_training_rows_are_trained_apart_where_these_choose_the_inputs(
    tmp_path: Path,
) -> None:
    path = write_customers(tmp_path / "a.csv")

    def key(**fields: Any) -> Any:
        given = {"name": "csv_file", "path": str(path), **CUSTOMERS, **fields}
        return population_key(Experiment.from_dict({"dataset": given, "model": {"name": "linear"}}))

    assert key(seed=0) != key(seed=1)
    numbers = [f"{name}=ignore" for name in (entry.partition("=")[0] for entry in ROLES)]
    plain = {"columns": numbers, "missing": "mean"}
    assert key(seed=0, **plain) == key(seed=1, **plain)


def test_that_roles_are_in_the_file_and_a_run_repeats_to_the_bit(tmp_path: Path) -> None:
    path = write_customers(tmp_path / "a.csv")
    given = {"name": "csv_file", "path": str(path), **CUSTOMERS}
    asked = Experiment.from_dict({"dataset": given, "model": {"name": "linear"}})
    again = Experiment.from_toml(asked.to_toml())
    assert again == asked and again.dataset.values()["columns"] == list(ROLES)

    def digest(experiment: Experiment) -> str:
        return hashlib.sha256(experiment.dataset.load().training.x.tobytes()).hexdigest()

    assert digest(again) == digest(asked)


def test_that_inputs_that_all_vanish_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("w,t\na b,0\nc d,1\ne f,0\n", encoding="utf-8")
    fields: dict[str, Any] = {"path": str(tmp_path / "t.csv"), "columns": ("w=text",)}
    with pytest.raises(InvalidInput, match="leave no input"):
        CSVFile.build({**fields, "validation": 0.0, "test": 0.0}, "dataset").load()


@pytest.mark.parametrize("write", [write_customers])
def test_that_extra_words_can_mean_missing(tmp_path: Path, write: Callable[..., Path]) -> None:
    def plant(cells: list[list[str]]) -> None:
        for row in cells[:9]:
            row[COLUMNS.index("basket")] = "-999"

    path = write(tmp_path / "a.csv", change=plant)
    column = COLUMNS.index("basket") - 1
    for words, count in (((), 0), (("-999",), 9)):
        assert np.isnan(customers(path, missing_words=words).table().x[:, column]).sum() == count


def test_that_a_code_is_the_number_of_a_word_among_the_training_rows(tmp_path: Path) -> None:
    roles = [*(role for role in ROLES if not role.startswith("city=")), "city=code"]
    dataset = customers(write_customers(tmp_path / "a.csv"), columns=roles)
    data = dataset.load()
    training = rows_of(dataset)[0]
    cells = raw("city").reshape(-1, 1)
    present = np.array([cell is not None for cell in cells[training, 0]])
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encoder.fit(cells[training][present])
    for part, rows in zip(inputs(dataset, data, "city"), rows_of(dataset), strict=True):
        words = np.array([[cell or "(none)"] for cell in cells[rows, 0]], object)
        np.testing.assert_array_equal(part, encoder.transform(words) + 1)
    (group,) = [one for one in dataset.shape().groups if one.name == "city"]
    assert (group.shape, group.codes) == ((1,), len(encoder.categories_[0]) + 1)
    assert dataset.shape().width == sum(one.width for one in dataset.shape().groups)
