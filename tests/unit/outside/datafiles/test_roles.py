"""Roles of columns: how they are stated, and the numbers that cells become."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optlab.core.errors import InvalidInput
from optlab.outside.datafiles.csv_table import Table, read_table
from optlab.outside.datafiles.dates import days, is_ambiguous, likely_order
from optlab.outside.datafiles.dialect import Dialect
from optlab.outside.datafiles.roles import Role, entry, parsed


def table_of(folder: Path, content: str, *columns: str, **dialect: Any) -> Table:
    path = folder / "table.csv"
    path.write_text(content, encoding="utf-8")
    return read_table(path, Dialect(columns=columns, header="yes", **dialect))


@given(st.text(min_size=1).map(str.strip).filter(bool))
def test_that_a_role_is_read_as_it_is_written_whatever_the_column_is_called(name: str) -> None:
    for role in (Role("category"), Role("date", "dmy"), Role("ordinal", "S<M<L")):
        assert parsed(entry(name, role)) == (name, role)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("city", "each entry must be NAME=ROLE"),
        ("city=categry", "did you mean category"),
        ("size=ordinal", "ordinal needs two or more different words"),
        ("size=ordinal:S<S", "ordinal needs two or more different words"),
        ("day=date:ymd", "date takes dmy"),
        ("a=number:3", "number takes nothing after a colon"),
    ],
)
def test_that_a_wrong_role_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(sentence)) as refused:
        parsed(text)
    assert refused.value.field == "dataset.columns" and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (("c=category",), "has no column 'c'"),
        (("a=number", "1=category"), "two roles of column 'a'"),
        (("a=id", "b=ignore"), "leaves no input"),
    ],
)
def test_that_roles_must_suit_the_table(
    tmp_path: Path, columns: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        table_of(tmp_path, "a,b,t\n1,2,0\n3,4,1\n", *columns)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from(["%Y-%m-%d %H:%M:%S.%f", "%Y/%m/%dT%H:%M:%S.%fZ", "%d.%m.%Y %H:%M:%S.%f"]),
)
def test_that_a_date_is_the_days_since_1970(moment: datetime, form: str) -> None:
    expected = moment.replace(tzinfo=UTC).timestamp() / 86_400
    assert days(moment.strftime(form)) == pytest.approx(expected, abs=1e-9)


def test_that_zones_and_orders_of_dates_are_understood() -> None:
    assert days("1970-01-02") == 1.0 and days("1970-01-01 12:00") == 0.5
    assert days("1970-01-01T12:00+02:00") == pytest.approx(10 / 24)
    assert days("1970-01-01T12:00-0230") == pytest.approx(14.5 / 24)
    assert days("02/01/1970", "dmy") == 1.0 and days("01/02/1970", "mdy") == 1.0
    for wrong in ("02/01/1970", "1970-13-01", "31.02.1999", "1970-01-01 25:00", "1.5", "12"):
        with pytest.raises(ValueError):
            days(wrong)


def test_that_the_order_of_dates_is_told_by_a_day_after_the_twelfth() -> None:
    assert likely_order(["03/04/2024", "25/04/2024"]) == "dmy"
    assert likely_order(["03/04/2024", "04/25/2024"]) == "mdy"
    assert likely_order(["25/04/2024", "04/25/2024"]) is None
    assert likely_order(["2024-04-25", "25.04.2024"]) == ""
    assert is_ambiguous(["03/04/2024"]) and not is_ambiguous(["25/04/2024", "03/04/2024"])


@pytest.mark.parametrize("quote", ["", '"'])
def test_that_every_role_has_its_numbers_with_both_readers(tmp_path: Path, quote: str) -> None:
    # A quote inside a cell is for the slow reader.
    rows = [
        "5,M,yes,2024-01-01,b,x",
        "6,S,0,02.01.2024,a,y",
        "7,L,TRUE,2024-01-03 12:00,b,x",
    ]
    content = "n,size,flag,day,word,t\n" + "\n".join(rows) + f"\n8,S,off,2024-01-04,c{quote}d,y\n"
    roles = ("size=ordinal:S<M<L", "flag=boolean", "day=date", "word=category")
    table = table_of(tmp_path, content, *roles)
    first = days("2024-01-01")
    np.testing.assert_array_equal(table.x[:, 0], [5, 6, 7, 8])
    np.testing.assert_array_equal(table.x[:, 1], [1, 0, 2, 0])
    np.testing.assert_array_equal(table.x[:, 2], [1, 0, 1, 0])
    np.testing.assert_array_equal(table.x[:, 3] - first, [0, 1, 2.5, 3])
    assert [table.inputs[4].cells[int(code)] for code in table.x[:, 4]] == [
        "b",
        "a",
        "b",
        f"c{quote}d",
    ]


@pytest.mark.parametrize(
    ("role", "sentence"),
    [
        ("size=ordinal:S<M", r"line 4, column 'size': 'L' is not in the stated order S<M"),
        ("size=boolean", r"line 2, column 'size': 'M' is neither true"),
        ("size=date", r"line 2, column 'size': 'M' is not a date such as"),
        ("size=number", r"'M' is not a number; if the column holds words.*size=category"),
    ],
)
def test_that_a_cell_without_a_number_is_refused_with_its_place(
    tmp_path: Path, role: str, sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        table_of(tmp_path, "size,t\nM,0\nS,1\nL,0\n", role)
