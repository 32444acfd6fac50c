"""CSV tables: rows of numbers and one column of targets.

A table is read twice over: at first by pyarrow, which is about ten times as fast and takes only
what is plain; and where that does not succeed, cell by cell, which knows every case and names the
line and the column of what is wrong. Both give the same values.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optlab.core.data import LearningTask
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown
from optlab.core.reading import open_regular
from optlab.outside.datafiles import arrow_table
from optlab.outside.datafiles.dialect import (
    CLASS_WORDS,
    MISSING,
    SAMPLE,
    Dialect,
    Missing,
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

LARGEST_BYTES = 256 * 1024 * 1024
"""A larger table belongs in a binary format: as text it takes several times its size in memory."""
MAX_CLASSES = 1000
"""A target column with more distinct values than this does not hold classes."""
MAX_NUMERIC_CLASSES = 20
"""A column of integers with at most this many distinct values holds classes."""
MIN_ROWS_A_CLASS = 2
"""A column of words with fewer rows a value, on average, does not hold classes unless said so."""


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes:
        x: ``[n, inputs]``; nan where a value is missing and is to be filled from the training part.
        y: class numbers ``[n]``, or values ``[n, 1]``.
        names: of the input columns. target: name of the target column.
        class_names: in order; () for regression.
        dropped: number of rows left out because a value is missing.
    """

    x: NDArray[np.float64]
    y: NDArray[np.int64] | NDArray[np.float64]
    names: tuple[str, ...]
    target: str
    class_names: tuple[str, ...]
    task: LearningTask
    dropped: int


@dataclass(frozen=True)
class Rows:
    """The cells of a file, all rows of one length.

    Attributes:
        names: of the columns, numbered where there is no header. rows: below the header.
        header_line: line number of the header, 0 where there is none.
        delimiter, decimal: the signs.
    """

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    header_line: int
    delimiter: str
    decimal: str

    @property
    def has_header(self) -> bool:
        """Whether the first row of the file names the columns."""
        return self.header_line > 0


@dataclass(frozen=True)
class _Columns:
    """Inputs ``x`` ``[n, inputs]``, nan where missing; targets as texts; lines where known."""

    x: NDArray[np.float64]
    targets: Sequence[str]
    lines: Sequence[int]
    dropped: int


def read_rows(path: Path, dialect: Dialect, max_rows: int | None = None) -> Rows:
    """Read the cells of a file.

    Args:
        max_rows: number of rows to read at most, for a preview.

    Raises:
        InvalidInput: the file cannot be read, is not text, is empty, or is ragged.
    """
    return _rows(path, dialect, _text(path, max_rows), max_rows)


def read_table(path: Path, dialect: Dialect) -> Table:
    """Read inputs and targets of a file.

    Raises:
        InvalidInput: see :func:`read_rows`; or a cell is not a number, a value is missing, or the
            target cannot be used.
    """
    text = _text(path, None)
    rows = _rows(path, dialect, text, SAMPLE)
    target, inputs = _roles(path, dialect, rows.names)
    columns = _fast_columns(dialect, text, rows, inputs, target)
    if columns is None:
        rows = _rows(path, dialect, text, None)
        target, inputs = _roles(path, dialect, rows.names)
        columns = _checked_columns(path, rows, inputs, target, dialect.missing)
    names = tuple(rows.names[column] for column in inputs)
    if dialect.missing == "mean":
        _check_filled(path, columns.x, names)
    return _with_targets(path, dialect, rows, target, names, columns)


# --- reading --------------------------------------------------------------------------------------


def _text(path: Path, max_rows: int | None) -> str:
    most = None if max_rows is None else 64 * 1024 + 512 * max_rows
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise InvalidInput(
                f"{path} has {size:,} bytes, more than the {LARGEST_BYTES:,} that a CSV file may "
                "have; save it as NPZ.",
                "dataset.path",
            )
        with open_regular(path) as file:
            content = file.read() if most is None else file.read(most)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror or error}.", "dataset.path"
        ) from None
    if most is not None and len(content) == most and b"\n" in content:
        content = content[: content.rindex(b"\n") + 1]  # the last line was cut in the middle
    if b"\0" in content[:4096]:
        raise InvalidInput(
            f"{path} is not a text file; save the table as CSV in UTF-8.", "dataset.path"
        )
    try:
        return content.decode("utf-8-sig", errors="strict" if most is None else "ignore")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidInput(
            f"{path}, line {line}: this is not UTF-8; save the file in UTF-8 (in a spreadsheet: "
            "CSV UTF-8).",
            "dataset.path",
        ) from None


def _rows(path: Path, dialect: Dialect, text: str, max_rows: int | None) -> Rows:
    delimiter = delimiter_sign(dialect, text[: 1 << 20])
    rows: list[Row] = []
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            rows.append((reader.line_num, tuple(cell.strip() for cell in cells)))
            if max_rows is not None and len(rows) > max_rows:
                break
    except csv.Error as error:
        raise InvalidInput(
            f"{path}, line {reader.line_num}: {error}; check the quotes.", "dataset.path"
        ) from None
    if not rows:
        raise InvalidInput(
            f"{path} is empty; it needs a row of values for each example.", "dataset.path"
        )
    width = len(rows[0][1])
    for line, row in rows:
        if len(row) != width:
            raise InvalidInput(
                f"{path}, line {line}: {len(row)} columns, but the first row has {width}; every "
                "row needs the same.",
                "dataset.path",
            )
    if width > 2 and not any(row[-1] for _, row in rows):
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
    return Rows(tuple(names), tuple(below), rows[0][0] if headed else 0, delimiter, decimal)


def _roles(path: Path, dialect: Dialect, names: Sequence[str]) -> tuple[int, list[int]]:
    """Return the number of the target column and those of the inputs."""
    ignored = {_column(path, names, name, "ignore") for name in dialect.ignore}
    usable = [column for column in range(len(names)) if column not in ignored]
    target = (
        _column(path, names, dialect.target, "target")
        if dialect.target
        else max(usable, default=-1)
    )
    inputs = [column for column in usable if column != target]
    if target not in usable or not inputs:
        raise InvalidInput(
            f"{path}: dataset.ignore leaves no input beside the target; ignore fewer columns.",
            "dataset.ignore",
        )
    return target, inputs


def _column(path: Path, names: Sequence[str], name: str, field: str) -> int:
    if name in names:
        return names.index(name)
    if name.isdecimal() and 1 <= int(name) <= len(names):
        return int(name) - 1
    listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    raise InvalidInput(
        f"{path} has no column {shown(name)}{did_you_mean(name, names)}; its columns are: {listed}.",
        f"dataset.{field}",
    )


# --- values ---------------------------------------------------------------------------------------


def _fast_columns(
    dialect: Dialect, text: str, rows: Rows, inputs: Sequence[int], target: int
) -> _Columns | None:
    """Return the columns that pyarrow read; None where a row needs a closer look."""
    fast = arrow_table.read(
        text, rows.delimiter, rows.decimal, rows.header_line, len(rows.names), inputs, target
    )
    if fast is None:
        return None
    (distinct, codes), policy = fast.targets, dialect.missing
    finite = [_is_finite(cell, rows.decimal) for cell in distinct if cell.lower() not in MISSING]
    if not all(finite) and (dialect.task == "regression" or False in finite):
        return None
    missing_targets = _missing_targets(distinct)
    absent = np.array([cell.lower() in missing_targets for cell in distinct])[codes]
    incomplete = np.isnan(fast.x).any(axis=1)
    if (np.isnan(fast.x).all(axis=1)).any() or (
        policy == "refuse" and (incomplete.any() or absent.any())
    ):
        return None
    kept = ~absent if policy == "mean" else ~(absent | incomplete)
    if not kept.any():
        return None
    targets = [distinct[code] for code in codes[kept]]
    return _Columns(fast.x[kept], targets, (), len(codes) - len(targets))


def _checked_columns(
    path: Path, rows: Rows, inputs: Sequence[int], target: int, policy: Missing
) -> _Columns:
    """Return the columns of all rows, cell by cell; the first thing that is wrong is refused."""
    absent_targets = _missing_targets({cells[target] for _, cells in rows.rows})
    lines: list[int] = []
    values: list[list[float]] = []
    targets: list[str] = []
    for line, cells in rows.rows:
        missing = [column for column in inputs if cells[column].lower() in MISSING]
        missing += [target] if cells[target].lower() in absent_targets else []
        if missing and policy == "refuse":
            raise InvalidInput(
                f"{path}, line {line}, column {shown(rows.names[min(missing)])}: the value is "
                "missing; fill it in, or choose what to do with missing values (dataset.missing: "
                "drop, mean).",
                "dataset.missing",
            )
        if missing and (policy == "drop" or target in missing):
            continue
        lines.append(line)
        targets.append(cells[target])
        values.append([_number(path, line, rows, column, cells[column]) for column in inputs])
    if not lines:
        raise InvalidInput(
            f"{path}: every row has a missing value, so none is left.", "dataset.missing"
        )
    return _Columns(np.array(values, dtype=np.float64), targets, lines, len(rows.rows) - len(lines))


def _is_finite(cell: str, decimal: str) -> bool | None:
    """Return whether a cell is a finite number; None where it is not a number at all."""
    return math.isfinite(float(with_point(cell, decimal))) if is_number(cell, decimal) else None


def _missing_targets(distinct: Sequence[str] | set[str]) -> frozenset[str]:
    """Return the words that stand for a missing target: among words, "none" is a class."""
    words = any(cell.lower() not in MISSING and not is_number(cell, ".") for cell in distinct)
    return MISSING - CLASS_WORDS if words else MISSING


def _check_filled(path: Path, x: NDArray[np.float64], names: Sequence[str]) -> None:
    empty = np.isnan(x).all(axis=0)
    if empty.any():
        raise InvalidInput(
            f"{path}, column {shown(names[int(np.argmax(empty))])}: every value is missing; leave "
            "the column out (dataset.ignore).",
            "dataset.missing",
        )


def _number(path: Path, line: int, rows: Rows, column: int, cell: str) -> float:
    if cell.lower() in MISSING:
        return math.nan
    where = f"{path}, line {line}, column {shown(rows.names[column])}"
    try:
        value = float(with_point(cell, rows.decimal))
    except ValueError:
        raise InvalidInput(
            f"{where}: {shown(cell)} is not a number{_advice(cell)}.", "dataset.path"
        ) from None
    if not math.isfinite(value):
        raise InvalidInput(f"{where}: {shown(cell)} is not a finite number.", "dataset.path")
    return value


def _advice(cell: str) -> str:
    """Return what to do about a cell with commas in it, to follow "is not a number"."""
    if not is_thousands(cell):
        return ""
    return (
        "; if the comma separates thousands, remove it from the file; if it is the decimal sign, "
        "set dataset.decimal to comma"
    )


# --- targets --------------------------------------------------------------------------------------


def _with_targets(
    path: Path,
    dialect: Dialect,
    rows: Rows,
    target: int,
    names: tuple[str, ...],
    columns: _Columns,
) -> Table:
    decimal, column = rows.decimal, rows.names[target]
    distinct = set(columns.targets)
    task: LearningTask = dialect.task if dialect.task != "auto" else _likely_task(distinct, decimal)
    if task == "regression":
        lines = columns.lines or [0] * len(columns.targets)
        values = [
            _number(path, line, rows, target, cell)
            for line, cell in zip(lines, columns.targets, strict=True)
        ]
        y = np.array(values, dtype=np.float64)[:, None]
        return Table(columns.x, y, names, column, (), task, columns.dropped)
    if dialect.task == "auto":
        _check_words(path, column, distinct, decimal, len(columns.targets))
    spelled = {cell: class_name(cell, decimal) for cell in distinct}
    classes = tuple(sorted(set(spelled.values()), key=_class_order))
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
    of_cell = {cell: number[name] for cell, name in spelled.items()}
    y_classes = np.array([of_cell[cell] for cell in columns.targets], dtype=np.int64)
    return Table(columns.x, y_classes, names, column, classes, task, columns.dropped)


def _check_words(path: Path, column: str, distinct: set[str], decimal: str, rows: int) -> None:
    """Refuse words that are hardly classes, unless the user says that they are."""
    if all(is_number(cell, decimal) for cell in distinct):
        return
    numeric = next((cell for cell in sorted(distinct) if is_thousands(cell)), None)
    if numeric is not None:
        raise InvalidInput(
            f"{path}, column {shown(column)}: {shown(numeric)} is not a number{_advice(numeric)}; "
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


def _likely_task(distinct: set[str], decimal: str) -> LearningTask:
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


def _class_order(name: str) -> tuple[int, float, str]:
    """Return the sorting key of a class: numbers by size, then words by the alphabet."""
    return (0, float(name), "") if is_number(name, ".") else (1, 0.0, name)
