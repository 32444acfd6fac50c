"""Roles that are suggested for columns, from their first cells."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from optlab.outside.datafiles.dialect import MISSING
from optlab.outside.datafiles.suggestions import suggested

COLUMNS: dict[str, tuple[Sequence[str], str]] = {
    "numbers": (["1", "2.5", "NA", "-3e4"] * 5, ""),
    "numbers with an error": (["1", "2", "3", "4", "5", "oops"], ""),
    "numbers with thousands": ([f"{n},{n + 100}" for n in range(1, 20)], ""),
    "nothing": (["", "NA"] * 9, ""),
    "truth values": (["Yes", "no", "", "yes"] * 5, "boolean"),
    "zeros and ones": (["0", "1"] * 9, ""),
    "one truth value": (["yes"] * 9, "category"),
    "codes": (["007", "012", "007"] * 5, "category"),
    "words": (["red", "blue", "n/a"] * 5, "category"),
    "few words": (["red", "blue", "green"], "category"),
    "names": ([f"K-{n}" for n in range(20)], "id"),
    "sentences": ([f"order {n} was too late" for n in range(20)], "text"),
    "ISO dates": (["2024-01-31", "", "1999-12-01 10:30"] * 5, "date"),
    "day first": (["03/04/2024", "31/01/2024"] * 5, "date:dmy"),
    "month first": (["03/04/2024", "01/31/2024"] * 5, "date:mdy"),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_that_a_column_has_the_role_that_its_cells_suggest(kind: str) -> None:
    cells, role = COLUMNS[kind]
    found = suggested("column", cells, ".", MISSING)
    assert ("" if found is None else str(found.role)) == role


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (["03/04/2024", "05/06/2024"], "may begin with the day or with the month"),
        ([f"K-{n}" for n in range(20)], "20 different words in the first 20 rows"),
        (["03/04/2024", "31/06/2024", "2024-01-02"], ""),
    ],
)
def test_that_what_may_be_wrong_is_said(cells: list[str], sentence: str) -> None:
    found = suggested("when", cells, ".", MISSING)
    assert found is not None and (sentence in found.note and bool(found.note) == bool(sentence))
