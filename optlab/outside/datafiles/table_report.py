"""What becomes of the columns of a table: their distribution, and the inputs of the model.

All figures are of the training part, as everything else that is computed from the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from optlab.core.data import Data
from optlab.outside.datafiles.csv_table import Input, Table

ROWS = 50
"""Encoded examples that are shown."""
_WORDS = 3
"""Most frequent words that are named."""


@dataclass(frozen=True)
class ColumnReport:
    """One input column.

    Attributes:
        name: of the column. role: as it is stated, ``ordinal:S<M<L``.
        missing, count: training examples without a value, and all of them.
        distribution: in words. inputs: names of the inputs that it becomes.
    """

    name: str
    role: str
    missing: int
    count: int
    distribution: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class TableReport:
    """A table as the model receives it.

    Attributes:
        columns: the input columns. names: of the inputs.
        rows: of the first training examples, ``[rows, inputs]``, scaled. targets: of these, as
            texts.
        dropped: rows that were left out since a value is missing.
    """

    columns: tuple[ColumnReport, ...]
    names: tuple[str, ...]
    rows: NDArray[np.float64]
    targets: tuple[str, ...]
    dropped: int


def report(
    table: Table,
    training: NDArray[np.int64],
    encoded: Sequence[Sequence[str]],
    data: Data,
) -> TableReport:
    """Return the report of a table.

    Args:
        table: as it was read. training: rows of its training part, ``[m]``.
        encoded: names of the inputs that each column becomes. data: as they were loaded.
    """
    columns = tuple(
        _column(column, table.x[training, number], inputs)
        for number, (column, inputs) in enumerate(zip(table.inputs, encoded, strict=True))
    )
    y = data.training.y[:ROWS]
    targets = (
        tuple(table.class_names[int(number)] for number in y)
        if table.task == "classes"
        else tuple(f"{float(value):.6g}" for value in y[:, 0])
    )
    return TableReport(
        columns, tuple(data.input_names), data.training.x[:ROWS], targets, table.dropped
    )


def _column(column: Input, values: NDArray[np.float64], inputs: Sequence[str]) -> ColumnReport:
    present = values[~np.isnan(values)]
    return ColumnReport(
        column.name,
        str(column.role),
        len(values) - len(present),
        len(values),
        _distribution(column, present) if len(present) else "no value",
        tuple(inputs),
    )


def _distribution(column: Input, present: NDArray[np.float64]) -> str:
    role = column.role
    if role.name in ("category", "code", "ordinal", "boolean"):
        words = {
            "category": column.cells,
            "code": column.cells,
            "ordinal": role.order,
            "boolean": ("false", "true"),
        }[role.name]
        return _shares(words, np.bincount(present.astype(np.int64), minlength=len(words)))
    if role.name == "text":
        return f"{len(np.unique(present)):,} different texts"
    low, middle, high = np.quantile(present, (0.0, 0.5, 1.0))
    if role.name in ("date", "calendar"):
        return f"{_date(low)} to {_date(high)}, median {_date(middle)}"
    return f"{low:.6g} to {high:.6g}, median {middle:.6g}"


def _shares(words: Sequence[str], counts: NDArray[np.int64]) -> str:
    ranked = sorted(np.flatnonzero(counts).tolist(), key=lambda code: (-counts[code], words[code]))
    named = [f"{words[code]} {counts[code] / counts.sum():.0%}" for code in ranked[:_WORDS]]
    more = len(ranked) - len(named)
    return ", ".join([*named, f"{more:,} more"] if more else named)


def _date(days: float) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=float(days))).date().isoformat()
