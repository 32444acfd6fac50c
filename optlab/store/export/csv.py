"""CSV: the table as text, for spreadsheets and any other program.

Numbers are written so that reading them returns the same number. An empty cell means that the series
has no value at that step; ``nan`` and ``inf`` are measured values.
"""

from __future__ import annotations

import csv
from pathlib import Path

from optlab.core.files import replacing
from optlab.store.export.table import Table

ROWS_AT_ONCE = 10_000
"""Rows that are converted at a time: a bound on the memory for a long run."""


def write(table: Table, path: Path) -> None:
    """Write the table; the first row names the columns, the first column is ``step``.

    Raises:
        StoreError: the file cannot be written.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["step", *(column.name for column in table.columns)])
        for first in range(0, len(table.steps), ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            cells: list[list[object]] = [list(table.steps[rows].tolist())]
            for column in table.columns:
                pairs = zip(
                    column.values[rows].tolist(), column.present[rows].tolist(), strict=True
                )
                cells.append([value if present else "" for value, present in pairs])
            writer.writerows(zip(*cells, strict=True))
