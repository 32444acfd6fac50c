"""Runs as one table: one row per step, one column per series.

Series are recorded at different steps, so the rows are the union of all their steps, and a column is
empty where its series has no value. A series of several numbers (the followed weights) becomes
several columns, named after the numbers. The rows of several runs follow one another, with the run in
a column of its own, as data frames expect them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optlab.store import StoredSeries
from optlab.store.series_groups import WEIGHTS


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: of the column.
        values: ``[n]``, float64.
        present: ``[n]``, false where the column is empty (a measured NaN is present).
    """

    name: str
    values: NDArray[np.float64]
    present: NDArray[np.bool_]


@dataclass(frozen=True)
class Table:
    """The series of a run, or of several.

    Attributes:
        steps: ``[n]``, ascending within a run.
        columns: of the table.
        about: metadata, key → text.
        runs: id and number of rows of each run, in order; None where the table is of one run and
            has no column for it.
    """

    steps: NDArray[np.int64]
    columns: tuple[Column, ...]
    about: Mapping[str, str]
    runs: tuple[tuple[str, int], ...] | None = None


def tabulate(series: Mapping[str, StoredSeries], about: Mapping[str, str]) -> Table:
    """Return one table of all series.

    Args:
        series: name → recorded values.
        about: metadata of the run, key → text.
    """
    used = [one.steps for one in series.values()]
    steps = np.unique(np.concatenate(used)) if used else np.empty(0, dtype=np.int64)
    columns: list[Column] = []
    for name, one in series.items():
        rows = np.searchsorted(steps, one.steps)
        if not one.columns:
            columns.append(
                _column(name, rows, one.values, np.ones(len(rows), dtype=bool), len(steps))
            )
            continue
        for number, part in enumerate(one.columns):
            values = one.values[:, number]
            # Of several numbers, the store has NaN for one that was not recorded at that step. The
            # name of a weight is complete; others get the name of their series.
            label = part if name == WEIGHTS else f"{name}.{part}"
            columns.append(_column(label, rows, values, ~np.isnan(values), len(steps)))
    return Table(steps, _with_unique_names(columns), dict(about))


def stack(tables: Mapping[str, Table], about: Mapping[str, str]) -> Table:
    """Return one table of several runs; a column is empty where a run has no such series.

    Args:
        tables: id of a run → its table.
        about: metadata, key → text.
    """
    lengths = [len(table.steps) for table in tables.values()]
    height = sum(lengths)
    found: dict[str, Column] = {}
    for end, table in zip(itertools.accumulate(lengths), tables.values(), strict=True):
        rows = slice(end - len(table.steps), end)
        for one in table.columns:
            column = found.get(one.name)
            if column is None:
                column = Column(one.name, np.full(height, np.nan), np.zeros(height, dtype=bool))
                found[one.name] = column
            column.values[rows], column.present[rows] = one.values, one.present
    steps = [table.steps for table in tables.values()]
    return Table(
        np.concatenate(steps) if steps else np.empty(0, dtype=np.int64),
        tuple(found.values()),
        dict(about),
        tuple(zip(tables, lengths, strict=True)),
    )


def _column(
    name: str,
    rows: NDArray[np.intp],
    values: NDArray[np.float64],
    measured: NDArray[np.bool_],
    height: int,
) -> Column:
    full, present = np.full(height, np.nan), np.zeros(height, dtype=bool)
    full[rows], present[rows] = values, measured
    return Column(name, full, present)


def _with_unique_names(columns: list[Column]) -> tuple[Column, ...]:
    """Return the columns with unique names: repeated names get a number."""
    counts = {"run": 1, "step": 1}
    renamed: list[Column] = []
    for column in columns:
        counts[column.name] = counts.get(column.name, 0) + 1
        number = counts[column.name]
        renamed.append(
            column
            if number == 1
            else Column(f"{column.name} ({number})", column.values, column.present)
        )
    return tuple(renamed)
