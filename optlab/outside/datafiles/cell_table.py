"""Tables read cell by cell: every case is known, and what is wrong has a line and a column."""

from __future__ import annotations

import csv
import math
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np

from optlab.core.errors import InvalidInput
from optlab.core.fields import shown
from optlab.outside.datafiles.dialect import CLASS_WORDS, Dialect, Row, cells_of, is_thousands
from optlab.outside.datafiles.roles import CODED, Role, complaint, value_of
from optlab.outside.datafiles.table_columns import Collected, Collector, Plan, numbered
from optlab.outside.datafiles.table_text import TableText

_ROWS = 4096
"""Rows that are collected at a time."""


class LastColumnFills(Exception):
    """A line has something behind the delimiter that ended all lines before."""


def rows_of(text: TableText, path: Path, dialect: Dialect, delimiter: str) -> Iterator[Row]:
    """Yield the rows that are not blank.

    Raises:
        InvalidInput: a line cannot be divided into cells, or has another number of them than the
            first.
    """
    reader = cells_of(text.lines(), delimiter, dialect.quote_sign)
    width = 0
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            width = width or len(cells)
            if len(cells) != width:
                raise InvalidInput(
                    f"{path}, line {reader.line_num}: {len(cells)} columns, but the first row has "
                    f"{width}; every row needs the same.",
                    "dataset.path",
                )
            yield reader.line_num, tuple(cell.strip() for cell in cells)
    except csv.Error as error:
        raise InvalidInput(
            f"{path}, line {reader.line_num}: {error}; check the quotes.", "dataset.path"
        ) from None


def read(plan: Plan) -> Generator[float, None, Collected]:
    """Read a table, and yield now and then the share of the file that was read.

    Args:
        plan: what is read.

    Raises:
        InvalidInput: a row cannot be used.
        LastColumnFills: ``plan.trailing`` is not true of a line.
    """
    collector = Collector(plan, with_lines=True)
    dropped = 0
    with TableText(plan.path, plan.dialect.encoding) as text:
        block = _Block(plan)
        for line, cells in rows_of(text, plan.path, plan.dialect, plan.delimiter):
            if line <= plan.header_line:
                continue
            if plan.trailing and cells[-1]:
                raise LastColumnFills
            dropped += not block.append(line, cells, collector)
            if len(block.lines) == _ROWS:
                yield block.hand_over(collector, text.done / text.size)
        block.hand_over(collector, 1.0)
    absent = collector.without_target()
    if plan.dialect.missing == "refuse" and absent.any():
        raise _missing(plan, collector.line_of(int(absent.argmax())), plan.target)
    if absent.all():
        raise InvalidInput(
            f"{plan.path}: every row has a missing value, so none is left.", "dataset.missing"
        )
    return collector.collected(~absent, dropped)


class _Block:
    """Rows that were read and not yet handed over."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._missing = plan.dialect.missing_cells
        # Whether "none" is a missing target is known when all targets are.
        self._absent = self._missing - CLASS_WORDS
        self.lines: list[int] = []
        self._values: list[list[float]] = []
        self._targets: list[str] = []

    def append(self, line: int, cells: tuple[str, ...], collector: Collector) -> bool:
        """Take a row; return False where it is left out since a value is missing."""
        plan, policy = self._plan, self._plan.dialect.missing
        missing = [column for column in plan.inputs if cells[column].lower() in self._missing]
        without_target = cells[plan.target].lower() in self._absent
        missing += [plan.target] if without_target else []
        if missing and policy == "refuse":
            raise _missing(plan, line, min(missing))
        if missing and (policy == "drop" or without_target):
            return False
        values: list[float] = []
        for place, (column, role) in enumerate(plan.inputs.items()):
            cell = cells[column]
            if cell.lower() in self._missing:
                values.append(math.nan)
            elif role.name in CODED:
                words = collector.vocabularies[place]
                values.append(words.setdefault(cell, len(words)))
            else:
                values.append(_value(plan, line, column, role, cell))
        self.lines.append(line)
        self._values.append(values)
        self._targets.append(cells[plan.target])
        return True

    def hand_over(self, collector: Collector, share: float) -> float:
        """Give the rows to a collector, and return ``share``."""
        if self.lines:
            collector.add(
                list(np.array(self._values, dtype=np.float64).T),
                numbered(self._targets, collector.target_words),
                share,
                np.array(self.lines, dtype=np.int64),
            )
            self.lines, self._values, self._targets = [], [], []
        return share


def _missing(plan: Plan, line: int, column: int) -> InvalidInput:
    return InvalidInput(
        f"{plan.path}, line {line}, column {shown(plan.names[column])}: the value is missing; fill "
        "it in, or choose what to do with missing values (dataset.missing: drop, mean, median, "
        "indicator).",
        "dataset.missing",
    )


def _value(plan: Plan, line: int, column: int, role: Role, cell: str) -> float:
    if role.name == "number":
        return number(plan, line, column, cell)
    try:
        return value_of(cell, role, plan.decimal)
    except ValueError:
        raise InvalidInput(
            f"{_place(plan, line, column)}: {complaint(cell, role)}.", "dataset.columns"
        ) from None


def number(plan: Plan, line: int, column: int, cell: str) -> float:
    """Return the number of a cell.

    Raises:
        InvalidInput: it is not a finite number; the message names line and column.
    """
    try:
        value = value_of(cell, Role(), plan.decimal)
    except ValueError:
        role = "" if column == plan.target or is_thousands(cell) else _ROLE_ADVICE
        raise InvalidInput(
            f"{_place(plan, line, column)}: {shown(cell)} is not a number{advice(cell)}"
            f"{role.format(name=plan.names[column])}.",
            "dataset.path",
        ) from None
    if not math.isfinite(value):
        raise InvalidInput(
            f"{_place(plan, line, column)}: {shown(cell)} is not a finite number.", "dataset.path"
        )
    return value


_ROLE_ADVICE = "; if the column holds words or dates, state it in dataset.columns ({name}=category)"


def _place(plan: Plan, line: int, column: int) -> str:
    # Without a line, as in a table of one column of targets, the column alone is named.
    at = f", line {line}" if line else ""
    return f"{plan.path}{at}, column {shown(plan.names[column])}"


def advice(cell: str) -> str:
    """Return what to do about a cell with commas in it, to follow "is not a number"."""
    if not is_thousands(cell):
        return ""
    return (
        "; if the comma separates thousands, remove it from the file; if it is the decimal sign, "
        "set dataset.decimal to comma"
    )
