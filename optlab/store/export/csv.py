"""CSV: the table as text, for spreadsheets and any other program.

Numbers are written so that reading them returns the same number. An empty cell means that the series
has no value at that step; ``nan`` and ``inf`` are measured values.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path

from optlab.core.files import replacing
from optlab.store.export.table import Column, Table

ROWS_AT_ONCE = 10_000
"""Rows that are converted at a time: a bound on the memory for a long run."""


def write(table: Table, path: Path) -> None:
    """Write the table; the first row names the columns.

    The first column is ``step``; where the table is of several runs, ``run`` stands before it.

    Raises:
        StoreError: the file cannot be written.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        key = [] if table.runs is None else ["run"]
        writer.writerow([*key, "step", *(column.name for column in table.columns)])
        end = 0
        for run, length in table.runs or ((None, len(table.steps)),):
            begin, end = end, end + length
            for first in range(begin, end, ROWS_AT_ONCE):
                rows = slice(first, min(first + ROWS_AT_ONCE, end))
                steps = table.steps[rows].tolist()
                cells: list[Iterable[object]] = [] if run is None else [repeat(run, len(steps))]
                cells += [steps, *(_cells(column, rows) for column in table.columns)]
                writer.writerows(zip(*cells, strict=True))


def _cells(column: Column, rows: slice) -> Iterable[object]:
    values: list[float] = column.values[rows].tolist()
    present = column.present[rows]
    if present.all():
        return values
    if not present.any():
        return repeat("", len(values))
    return [value if there else "" for value, there in zip(values, present.tolist(), strict=True)]
