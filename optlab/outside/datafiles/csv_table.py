"""CSV tables: rows of numbers and one column of targets.

What the file's dialect is (delimiter, decimal sign, header) is found by looking, or said by the
user. Every refusal names the line and the column as a text editor counts them.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from optlab.core.data import LearningTask
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown

LARGEST_BYTES = 256 * 1024 * 1024
"""Larger tables belong into a binary format; reading one as text would take minutes and several
times its size in memory.
"""
MOST_CLASSES = 1000
"""More distinct targets than this are no classes."""
FEW_NUMBERS = 20
"""A column of whole numbers with at most so many distinct values is taken for classes."""

Delimiter = Literal["auto", "comma", "semicolon", "tab", "space"]
Decimal = Literal["auto", "point", "comma"]
Header = Literal["auto", "yes", "no"]
Missing = Literal["refuse", "drop", "mean"]
Asked = Literal["auto", "classes", "regression"]

_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "space": " "}
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})


@dataclass(frozen=True)
class Dialect:
    """How a file is written, and which column is the target (name or number from 1; "" for the
    last).
    """

    delimiter: Delimiter = "auto"
    decimal: Decimal = "auto"
    header: Header = "auto"
    missing: Missing = "refuse"
    target: str = ""
    task: Asked = "auto"


@dataclass(frozen=True)
class Table:
    """What was read.

    Attributes:
        x: ``[n, inputs]``. y: class numbers ``[n]``, or values ``[n, 1]``. names: of the input
            columns. target: name of the target column.
        class_names: of the classes, in order; () for regression. dropped: rows left out because a
            value was missing.
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
    """The cells of a file, all rows of one length: (line number, cells). ``names``: of the columns,
    numbered where there is no header.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    has_header: bool
    delimiter: str
    decimal: str


def read_rows(path: Path, dialect: Dialect, most: int | None = None) -> Rows:
    """The cells of a file.

    Args:
        most: read at most so many rows (for a preview).

    Raises:
        InvalidInput: the file cannot be read, is no text, is empty or ragged.
    """
    text = _text(path, None if most is None else 64 * 1024 + 512 * most)
    delimiter = (
        _DELIMITERS[dialect.delimiter] if dialect.delimiter != "auto" else _likely_delimiter(text)
    )
    found: list[tuple[int, tuple[str, ...]]] = []
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            found.append((reader.line_num, tuple(cell.strip() for cell in cells)))
            if most is not None and len(found) > most:
                break
    except csv.Error as error:
        raise InvalidInput(
            f"{path}, line {reader.line_num}: {error}; check the quotes.", "dataset.path"
        ) from None
    if not found:
        raise InvalidInput(
            f"{path} is empty; it needs a row of values for each example.", "dataset.path"
        )
    width = len(found[0][1])
    if width < 2:
        raise InvalidInput(
            f"{path} has one column only; it needs at least one input and a target (is the delimiter right? {_name_of(delimiter)} was used).",
            "dataset.delimiter",
        )
    for line, row in found:
        if len(row) != width:
            raise InvalidInput(
                f"{path}, line {line}: {len(row)} columns, but the first row has {width}; every row needs the same.",
                "dataset.path",
            )
    decimal = (
        {"point": ".", "comma": ","}[dialect.decimal]
        if dialect.decimal != "auto"
        else _likely_decimal(found, delimiter)
    )
    has_header = dialect.header == "yes" or (
        dialect.header == "auto" and _looks_like_header(found, decimal)
    )
    names = (
        found[0][1] if has_header else tuple(f"column {number}" for number in range(1, width + 1))
    )
    if has_header:
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InvalidInput(
                f"{path}, line {found[0][0]}: the column name {shown(twice)} stands twice; names must differ.",
                "dataset.path",
            )
    rows = found[1:] if has_header else found
    if not rows:
        raise InvalidInput(f"{path} has a header but no rows below it.", "dataset.path")
    return Rows(names, tuple(rows), has_header, delimiter, decimal)


def read_table(path: Path, dialect: Dialect) -> Table:
    """Inputs and targets of a file.

    Raises:
        InvalidInput: see :func:`read_rows`; or a cell is no number, a value is missing, or the
            target cannot be used.
    """
    rows = read_rows(path, dialect)
    place = _target_column(path, rows.names, dialect.target)
    inputs = [column for column in range(len(rows.names)) if column != place]
    kept, dropped = _without_missing(path, rows, place, dialect.missing)
    x = np.array(
        [
            [_number(path, line, rows, column, cells[column]) for column in inputs]
            for line, cells in kept
        ],
        dtype=np.float64,
    )
    if dialect.missing == "mean":
        x = _filled(path, x, [rows.names[column] for column in inputs])
    targets = [cells[place] for _, cells in kept]
    task: LearningTask = (
        dialect.task if dialect.task != "auto" else _likely_task(targets, rows.decimal)
    )
    names = tuple(rows.names[column] for column in inputs)
    if task == "regression":
        values = [_number(path, line, rows, place, cells[place]) for line, cells in kept]
        return Table(
            x,
            np.array(values, dtype=np.float64)[:, None],
            names,
            rows.names[place],
            (),
            task,
            dropped,
        )
    classes: tuple[str, ...] = tuple(sorted(set(targets), key=_class_order))
    if len(classes) < 2:
        raise InvalidInput(
            f"{path}: the target column {shown(rows.names[place])} has one value only ({shown(classes[0])}); there is nothing to learn.",
            "dataset.target",
        )
    if len(classes) > MOST_CLASSES:
        raise InvalidInput(
            f"{path}: the target column {shown(rows.names[place])} has {len(classes):,} different values, more than {MOST_CLASSES:,} classes; "
            "choose another target, or task regression.",
            "dataset.target",
        )
    number = {name: index for index, name in enumerate(classes)}
    return Table(
        x,
        np.array([number[name] for name in targets], dtype=np.int64),
        names,
        rows.names[place],
        classes,
        task,
        dropped,
    )


# --- reading --------------------------------------------------------------------------------------------------------------------


def _text(path: Path, most: int | None) -> str:
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise InvalidInput(
                f"{path} has {size:,} bytes, more than the {LARGEST_BYTES:,} that a CSV file may have; save it as NPZ.",
                "dataset.path",
            )
        with path.open("rb") as file:
            content = file.read() if most is None else file.read(most)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror or error}.", "dataset.path"
        ) from None
    if most is not None and len(content) == most and b"\n" in content:
        content = content[: content.rindex(b"\n") + 1]  # the last line was cut in the middle
    if b"\0" in content[:4096]:
        raise InvalidInput(
            f"{path} is no text file; save the table as CSV in UTF-8.", "dataset.path"
        )
    try:
        return content.decode("utf-8-sig", errors="strict" if most is None else "ignore")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidInput(
            f"{path}, line {line}: this is not UTF-8; save the file in UTF-8 (in a spreadsheet: CSV UTF-8).",
            "dataset.path",
        ) from None


def _likely_delimiter(text: str) -> str:
    """The delimiter that divides the first lines into the same number of columns, the most of them."""
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    best, columns = ",", 1
    for delimiter in (";", "\t", ",", " "):
        try:
            widths = {
                len(cells)
                for cells in csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
            }
        except csv.Error:
            continue
        if len(widths) == 1 and (width := widths.pop()) > columns:
            best, columns = delimiter, width
    if columns == 1:
        # Ragged whatever divides it: take the one that occurs most, so that the message is about
        # the ragged row.
        best = max(
            (";", "\t", ","), key=lambda delimiter: sum(line.count(delimiter) for line in lines)
        )
    return best


def _likely_decimal(rows: Sequence[tuple[int, tuple[str, ...]]], delimiter: str) -> str:
    if delimiter == ",":
        return "."
    cells = [cell for _, row in rows[:200] for cell in row]
    with_comma = sum(_is_number(cell, ",") and "," in cell for cell in cells)
    with_point = sum(_is_number(cell, ".") and "." in cell for cell in cells)
    return "," if with_comma > with_point else "."


def _looks_like_header(rows: Sequence[tuple[int, tuple[str, ...]]], decimal: str) -> bool:
    """Whether the first row holds words where the next ones hold numbers."""
    first, rest = rows[0][1], [cells for _, cells in rows[1:50]]
    if not rest:
        return not all(_is_number(cell, decimal) for cell in first)
    return any(
        not _is_number(cell, decimal)
        and cell.lower() not in _MISSING
        and all(
            _is_number(cells[column], decimal) or cells[column].lower() in _MISSING
            for cells in rest
        )
        for column, cell in enumerate(first)
    )


def _target_column(path: Path, names: Sequence[str], target: str) -> int:
    if not target:
        return len(names) - 1
    if target in names:
        return names.index(target)
    if target.isdecimal() and 1 <= int(target) <= len(names):
        return int(target) - 1
    raise InvalidInput(
        f"{path} has no column {shown(target)}{did_you_mean(target, names)}; its columns are: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}.",
        "dataset.target",
    )


def _without_missing(
    path: Path, rows: Rows, target: int, policy: Missing
) -> tuple[list[tuple[int, tuple[str, ...]]], int]:
    kept: list[tuple[int, tuple[str, ...]]] = []
    for line, cells in rows.rows:
        missing = [column for column, cell in enumerate(cells) if cell.lower() in _MISSING]
        if missing and policy == "refuse":
            raise InvalidInput(
                f"{path}, line {line}, column {shown(rows.names[missing[0]])}: the value is missing; fill it in, or choose what to do with missing values "
                "(dataset.missing: drop, mean).",
                "dataset.missing",
            )
        if not missing or (policy == "mean" and target not in missing):
            kept.append((line, cells))
    if not kept:
        raise InvalidInput(
            f"{path}: every row has a missing value, so none is left.", "dataset.missing"
        )
    return kept, len(rows.rows) - len(kept)


def _filled(path: Path, x: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    """Missing values (nan) replaced by the mean of their column."""
    there = ~np.isnan(x)
    counts = there.sum(axis=0)
    if (counts == 0).any():
        raise InvalidInput(
            f"{path}, column {shown(names[int(np.argmin(counts))])}: every value is missing; leave the column out.",
            "dataset.missing",
        )
    means = np.where(there, x, 0.0).sum(axis=0) / counts
    return np.where(there, x, means)


def _number(path: Path, line: int, rows: Rows, column: int, cell: str) -> float:
    if cell.lower() in _MISSING:
        return math.nan
    try:
        value = float(_pointed(cell, rows.decimal))
    except ValueError:
        raise InvalidInput(
            f"{path}, line {line}, column {shown(rows.names[column])}: {shown(cell)} is not a number.",
            "dataset.path",
        ) from None
    if not math.isfinite(value):
        raise InvalidInput(
            f"{path}, line {line}, column {shown(rows.names[column])}: {shown(cell)} is not a finite number.",
            "dataset.path",
        )
    return value


def _pointed(cell: str, decimal: str) -> str:
    if decimal == ",":
        if "." in cell:
            raise ValueError(cell)
        cell = cell.replace(",", ".")
    if "_" in cell:  # float() takes 1_000; a table does not mean it so
        raise ValueError(cell)
    return cell


def _is_number(cell: str, decimal: str) -> bool:
    try:
        float(_pointed(cell, decimal))
    except ValueError:
        return False
    return True


def _likely_task(targets: Sequence[str], decimal: str) -> LearningTask:
    """Classes where the targets are words, or few different whole numbers; else real values."""
    if not all(_is_number(cell, decimal) for cell in targets):
        return "classes"
    distinct = {float(_pointed(cell, decimal)) for cell in targets}
    return (
        "classes"
        if len(distinct) <= FEW_NUMBERS
        and all(value.is_integer() for value in distinct if math.isfinite(value))
        else "regression"
    )


def _class_order(name: str) -> tuple[int, float, str]:
    """Numbers by size, then words by the alphabet."""
    return (0, float(name), "") if _is_number(name, ".") else (1, 0.0, name)


def _name_of(delimiter: str) -> str:
    return next(name for name, sign in _DELIMITERS.items() if sign == delimiter)


# --- for a first look ------------------------------------------------------------------------------------------------------------


def delimiter_name(delimiter: str) -> Delimiter:
    """The word for a delimiter that was found."""
    return cast(Delimiter, _name_of(delimiter))


def column_kind(cells: Sequence[str], decimal: str) -> Literal["whole", "real", "words", "missing"]:
    """What a column's cells hold, leaving missing ones aside."""
    there = [cell for cell in cells if cell.lower() not in _MISSING]
    if not there:
        return "missing"
    if not all(_is_number(cell, decimal) for cell in there):
        return "words"
    return "whole" if all(float(_pointed(cell, decimal)).is_integer() for cell in there) else "real"
