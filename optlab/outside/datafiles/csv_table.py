"""CSV tables: rows of inputs and one column of targets.

A table is read twice over: at first by pyarrow, which is about ten times as fast and takes only
what is plain; and where that does not succeed, cell by cell, which knows every case and names the
line and the column of what is wrong. Both give the same values, and neither holds the file.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optlab.core.data import LearningTask
from optlab.core.errors import InvalidInput
from optlab.core.fields import shown
from optlab.outside.datafiles import arrow_table, cell_table
from optlab.outside.datafiles.cell_table import LastColumnFills, advice, rows_of
from optlab.outside.datafiles.dialect import (
    SAMPLE,
    Dialect,
    Row,
    class_name,
    decimal_sign,
    delimiter_name,
    delimiter_sign,
    has_header,
    is_number,
    is_thousands,
    with_point,
)
from optlab.outside.datafiles.roles import Role, assigned
from optlab.outside.datafiles.table_columns import Collected, Plan
from optlab.outside.datafiles.table_text import TableText

MAX_CLASSES = 1000
"""A target column with more distinct values than this does not hold classes."""
MAX_NUMERIC_CLASSES = 20
"""A column of integers with at most this many distinct values holds classes."""
MIN_ROWS_A_CLASS = 2
"""A column of words with fewer rows a value, on average, does not hold classes unless said so."""
_HEAD = 1 << 20
"""Bytes in which the delimiter is looked for."""


@dataclass(frozen=True)
class Input:
    """An input column: its name, its role, and the distinct cells of a coded role, sorted."""

    name: str
    role: Role
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes:
        x: ``[n, inputs]``; nan where a value is missing and is to be filled from the training part.
            Where the role of a column is coded, the number of the cell among ``inputs[i].cells``.
        y: class numbers ``[n]``, or values ``[n, 1]``.
        inputs: the input columns. target: name of the target column.
        class_names: in order; () for regression.
        dropped: number of rows left out because a value is missing.
    """

    x: NDArray[np.float64]
    y: NDArray[np.int64] | NDArray[np.float64]
    inputs: tuple[Input, ...]
    target: str
    class_names: tuple[str, ...]
    task: LearningTask
    dropped: int

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the input columns."""
        return tuple(column.name for column in self.inputs)


@dataclass(frozen=True)
class Rows:
    """The cells of a file, all rows of one length.

    Attributes:
        names: of the columns, numbered where there is no header. rows: below the header.
        header_line: line number of the header, 0 where there is none.
        delimiter, decimal: the signs.
        trailing: whether each line ends with a delimiter, behind which there is no column.
    """

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    header_line: int
    delimiter: str
    decimal: str
    trailing: bool = False

    @property
    def has_header(self) -> bool:
        """Whether the first row of the file names the columns."""
        return self.header_line > 0


def read_rows(
    path: Path, dialect: Dialect, max_rows: int = SAMPLE, *, trailing: bool = True
) -> Rows:
    """Read the first cells of a file.

    Args:
        max_rows: number of rows to read at most.
        trailing: whether a delimiter at the end of each line may end it.

    Raises:
        InvalidInput: the file cannot be read, is not text, is empty, or is ragged.
    """
    with TableText(path, dialect.encoding) as text:
        delimiter = delimiter_sign(dialect, text.head(_HEAD))
    rows: list[Row] = []
    with TableText(path, dialect.encoding) as text:
        for row in rows_of(text, path, dialect, delimiter):
            rows.append(row)
            if len(rows) > max_rows:
                break
    if not rows:
        raise InvalidInput(
            f"{path} is empty; it needs a row of values for each example.", "dataset.path"
        )
    width = len(rows[0][1])
    trailing = trailing and width > 2 and not any(row[-1] for _, row in rows)
    if trailing:
        # Every line ends with a delimiter: what follows it is not a column.
        width -= 1
        rows = [(line, row[:-1]) for line, row in rows]
    if width < 2:
        raise InvalidInput(
            f"{path} has one column only; it needs at least one input and a target (is the "
            f"delimiter right? {delimiter_name(delimiter)} was used).",
            "dataset.delimiter",
        )
    decimal = decimal_sign(dialect, rows, delimiter)
    headed = has_header(dialect, rows, decimal)
    names = [
        name or f"column {number}"
        for number, name in enumerate(rows[0][1] if headed else [""] * width, start=1)
    ]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(
            f"{path}, line {rows[0][0]}: the column name {shown(twice)} stands twice; names must "
            "differ.",
            "dataset.path",
        )
    below = rows[1:] if headed else rows
    if not below:
        raise InvalidInput(f"{path} has a header but no rows below it.", "dataset.path")
    line = rows[0][0] if headed else 0
    return Rows(tuple(names), tuple(below), line, delimiter, decimal, trailing)


def read_table(path: Path, dialect: Dialect) -> Table:
    """Read inputs and targets of a file.

    Raises:
        InvalidInput: see :func:`read_rows`; or a cell has no number in the role of its column, a
            value is missing, or the target cannot be used.
    """
    steps = reading(path, dialect)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            table: Table = end.value
            return table


def reading(path: Path, dialect: Dialect) -> Generator[float, None, Table]:
    """Read a table as :func:`read_table` does, and yield now and then the share that was read."""
    plan = _plan(path, dialect, trailing=True)
    collected = yield from arrow_table.read(plan)
    if collected is None:
        try:
            collected = yield from cell_table.read(plan)
        except LastColumnFills:
            plan = _plan(path, dialect, trailing=False)
            collected = yield from cell_table.read(plan)
    if dialect.missing != "refuse":
        _check_filled(plan, collected)
    return _with_targets(plan, collected)


def _plan(path: Path, dialect: Dialect, *, trailing: bool) -> Plan:
    rows = read_rows(path, dialect, trailing=trailing)
    target, inputs = assigned(path, dialect, rows.names)
    return Plan(
        path,
        dialect,
        rows.delimiter,
        rows.decimal,
        rows.header_line,
        rows.names,
        rows.trailing,
        inputs,
        target,
    )


def _check_filled(plan: Plan, collected: Collected) -> None:
    for place, number in enumerate(plan.inputs):
        if np.isnan(collected.x[:, place]).all():
            raise InvalidInput(
                f"{plan.path}, column {shown(plan.names[number])}: every value is missing; leave "
                "the column out (dataset.ignore).",
                "dataset.missing",
            )


# --- targets --------------------------------------------------------------------------------------


def _with_targets(plan: Plan, collected: Collected) -> Table:
    path, decimal, column = plan.path, plan.decimal, plan.names[plan.target]
    distinct, asked = collected.target_cells, plan.dialect.task
    inputs = tuple(
        Input(plan.names[number], role, cells)
        for (number, role), cells in zip(plan.inputs.items(), collected.cells, strict=True)
    )
    task: LearningTask = asked if asked != "auto" else _likely_task(distinct, decimal)
    if task == "regression":
        values = np.array([_target(plan, collected, cell) for cell in distinct], dtype=np.float64)
        y = values[collected.targets][:, None]
        return Table(collected.x, y, inputs, column, (), task, collected.dropped)
    if asked == "auto":
        _check_words(path, column, distinct, decimal, len(collected.targets))
    spelled = {cell: class_name(cell, decimal) for cell in distinct}
    classes = tuple(sorted(set(spelled.values()), key=class_order))
    if len(classes) < 2:
        raise InvalidInput(
            f"{path}: the target column {shown(column)} has one value only ({shown(classes[0])}); "
            "there is nothing to learn.",
            "dataset.target",
        )
    if len(classes) > MAX_CLASSES:
        raise InvalidInput(
            f"{path}: the target column {shown(column)} has {len(classes):,} different values, "
            f"more than {MAX_CLASSES:,} classes; choose another target, or task regression.",
            "dataset.target",
        )
    number = {name: index for index, name in enumerate(classes)}
    of_cell = np.array([number[spelled[cell]] for cell in distinct], dtype=np.int64)
    y_classes = of_cell[collected.targets]
    return Table(collected.x, y_classes, inputs, column, classes, task, collected.dropped)


def _target(plan: Plan, collected: Collected, cell: str) -> float:
    """Return the number of a target cell, or refuse it with the line on which it stands first."""
    try:
        value = float(with_point(cell, plan.decimal))
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        return value
    line = 0
    if len(collected.lines):
        wrong = [not _is_finite_number(some, plan.decimal) for some in collected.target_cells]
        row = int(np.array(wrong)[collected.targets].argmax())
        line, cell = int(collected.lines[row]), collected.target_cells[collected.targets[row]]
    return cell_table.number(plan, line, plan.target, cell)


def _is_finite_number(cell: str, decimal: str) -> bool:
    return is_number(cell, decimal) and math.isfinite(float(with_point(cell, decimal)))


def _check_words(path: Path, column: str, distinct: Sequence[str], decimal: str, rows: int) -> None:
    """Refuse words that are hardly classes, unless the user says that they are."""
    if all(is_number(cell, decimal) for cell in distinct):
        return
    numeric = next((cell for cell in sorted(distinct) if is_thousands(cell)), None)
    if numeric is not None:
        raise InvalidInput(
            f"{path}, column {shown(column)}: {shown(numeric)} is not a number{advice(numeric)}; "
            "if it is a class, set dataset.task to classes.",
            "dataset.task",
        )
    if rows >= 10 and rows < MIN_ROWS_A_CLASS * len(distinct):
        raise InvalidInput(
            f"{path}: the target column {shown(column)} has {len(distinct):,} different words in "
            f"{rows:,} rows, so they are hardly classes; choose another target (dataset.target), "
            "or set dataset.task to classes.",
            "dataset.task",
        )


def _likely_task(distinct: Sequence[str], decimal: str) -> LearningTask:
    """Return classes where the targets are words, or few different integers; else regression."""
    if not all(is_number(cell, decimal) for cell in distinct):
        return "classes"
    values = {float(with_point(cell, decimal)) for cell in distinct}
    few = len(values) <= MAX_NUMERIC_CLASSES
    return (
        "classes"
        if few and all(value.is_integer() for value in values if math.isfinite(value))
        else "regression"
    )


def class_order(name: str) -> tuple[int, float, str]:
    """Return the sorting key of a class: numbers by size, then words by the alphabet."""
    return (0, float(name), "") if is_number(name, ".") else (1, 0.0, name)
