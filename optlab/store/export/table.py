"""A run as one table: a row a step, a column a series.

Series are taken at different steps, so the rows are the union of all their steps, and a column is
empty where its series has no value. A series of several numbers (the followed weights) becomes
several columns, named after the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optlab.store import StoredSeries
from optlab.store.series_groups import WEIGHTS


@dataclass(frozen=True)
class Column:
    """One column.

    ``values``: ``[n]`` float64; ``present``: ``[n]``, false where the table is empty (a measured
    NaN is present).
    """

    name: str
    values: NDArray[np.float64]
    present: NDArray[np.bool_]


@dataclass(frozen=True)
class Table:
    """``steps`` ``[n]``, rising; the columns; and what the file should say about the run, key →
    text.
    """

    steps: NDArray[np.int64]
    columns: tuple[Column, ...]
    about: Mapping[str, str]


def tabulate(series: Mapping[str, StoredSeries], about: Mapping[str, str]) -> Table:
    """One table of all series.

    Args:
        series: name → what was recorded.
        about: what the file should say about the run.
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
            # Of several numbers, the store gives NaN for one that was not followed at that step.
            # The name of a weight says all; others are said whose they are.
            called = part if name == WEIGHTS else f"{name}.{part}"
            columns.append(_column(called, rows, values, ~np.isnan(values), len(steps)))
    return Table(steps, _told_apart(columns), dict(about))


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


def _told_apart(columns: list[Column]) -> tuple[Column, ...]:
    """The columns with names that differ: of equal ones the later get a number."""
    seen: dict[str, int] = {}
    found: list[Column] = []
    for column in columns:
        seen[column.name] = seen.get(column.name, 0) + 1
        number = seen[column.name]
        found.append(
            column
            if number == 1
            else Column(f"{column.name} ({number})", column.values, column.present)
        )
    return tuple(found)
