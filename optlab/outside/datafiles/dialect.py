"""How a table is written: what the user stated, and what its first rows suggest.

Nothing here converts data. A guess is made from at most :data:`SAMPLE` rows, so that it does not
depend on the size of the file.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from optlab.outside.datafiles.dates import likely_order

Delimiter = Literal["auto", "comma", "semicolon", "tab", "pipe", "space"]
Decimal = Literal["auto", "point", "comma"]
Header = Literal["auto", "yes", "no"]
Quote = Literal["double", "single", "none"]
Encoding = Literal["auto", "utf-8", "utf-16", "windows-1252", "latin-1"]
Missing = Literal["refuse", "drop", "mean", "median", "indicator"]
Asked = Literal["auto", "classes", "regression"]
Row = tuple[int, tuple[str, ...]]
"""Line number in the file, counted from 1, and the cells of the line."""

SAMPLE = 200
"""Rows from which the dialect is guessed."""
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "?", "-"})
"""Cells that stand for a missing value, in lower case."""
CLASS_WORDS = frozenset({"none"})
"""Words among :data:`MISSING` that are a class in a target column of words ("none, mild, severe")."""

_QUOTES = {"double": '"', "single": "'"}
_SIGNS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_LINES = 50
"""Lines from which the delimiter is guessed."""
_COUNTED_COLUMNS = 6
"""Columns from which on a row 0, 1, 2, … is a header whatever stands below it."""
_DIGITS = 19
"""Digits of a cell from which on it counts nothing."""
_LEADING_ZERO = re.compile(r"[+-]?0\d")


@dataclass(frozen=True)
class Dialect:
    """How a file is written, and what its columns are for.

    Attributes:
        target: name of the target column, or its number from 1; "" for the last one.
        ignore: names or numbers of columns that are neither inputs nor the target.
        quote: sign around cells that hold a delimiter or a line break.
        encoding: of the characters; auto: UTF-8, or what the first bytes of the file declare.
        missing_words: cells that stand for a missing value, beside :data:`MISSING`.
        columns: what columns are for, as ``"city=category"``; see
            :mod:`optlab.outside.datafiles.roles`.
    """

    delimiter: Delimiter = "auto"
    decimal: Decimal = "auto"
    header: Header = "auto"
    missing: Missing = "refuse"
    target: str = ""
    task: Asked = "auto"
    ignore: tuple[str, ...] = ()
    quote: Quote = "double"
    encoding: Encoding = "auto"
    missing_words: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def missing_cells(self) -> frozenset[str]:
        """The cells that stand for a missing value, in lower case."""
        return MISSING | {word.strip().lower() for word in self.missing_words}

    @property
    def quote_sign(self) -> str:
        """The sign around cells; "" where quotes are characters like any other."""
        return _QUOTES.get(self.quote, "")


def cells_of(lines: Iterable[str], delimiter: str, quote: str) -> Any:
    """Return a reader of the cells of lines (``csv.reader``), strict about quotes."""
    options: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True, **options)


def delimiter_sign(dialect: Dialect, text: str) -> str:
    """Return the delimiter: the stated one, or the likely one of a text."""
    if dialect.delimiter != "auto":
        return _SIGNS[dialect.delimiter]
    return _likely_delimiter(text, dialect.quote_sign)


def delimiter_name(sign: str) -> Delimiter:
    """Return the name of a delimiter (``"comma"`` for ",")."""
    return cast(Delimiter, next(name for name, own in _SIGNS.items() if own == sign))


def decimal_sign(dialect: Dialect, rows: Sequence[Row], delimiter: str) -> str:
    """Return the decimal sign: the stated one, or the likely one of some rows."""
    if dialect.decimal != "auto":
        return "," if dialect.decimal == "comma" else "."
    cells = [cell for _, row in rows[:SAMPLE] for cell in row]
    with_comma = [cell for cell in cells if "," in cell and is_number(cell, ",")]
    with_point = sum("." in cell and is_number(cell, ".") for cell in cells)
    if delimiter == ",":
        # Quoted cells. Three digits after every comma may as well be thousands, which is for the
        # user to say.
        if with_point or all(is_thousands(cell) for cell in with_comma):
            return "."
        return ","
    return "," if len(with_comma) > with_point else "."


def has_header(dialect: Dialect, rows: Sequence[Row], decimal: str) -> bool:
    """Return whether the first row names the columns, as stated or as it seems."""
    if dialect.header != "auto":
        return dialect.header == "yes"
    first, rest = rows[0][1], [cells for _, cells in rows[1:SAMPLE]]
    if not rest:
        return not all(is_number(cell, decimal) for cell in first)
    columns = list(zip(*rest, strict=True))
    missing = dialect.missing_cells
    return _counts_columns(first, columns, rest[0]) or any(
        _names_a_column(cell, column, decimal, missing)
        for cell, column in zip(first, columns, strict=True)
    )


def is_number(cell: str, decimal: str) -> bool:
    """Return whether a cell is a number with this decimal sign."""
    try:
        float(with_point(cell, decimal))
    except ValueError:
        return False
    return True


def with_point(cell: str, decimal: str) -> str:
    """Return the cell of a number with a decimal point, for ``float``.

    Raises:
        ValueError: the cell uses the other sign, or an underscore, which ``float`` would take.
    """
    if decimal == ",":
        if "." in cell:
            raise ValueError(cell)
        cell = cell.replace(",", ".")
    if "_" in cell:
        raise ValueError(cell)
    return cell


def is_thousands(cell: str) -> bool:
    """Return whether a cell may be a number with thousands separators (``"1,234"``)."""
    return _THOUSANDS.fullmatch(cell) is not None


def class_name(cell: str, decimal: str) -> str:
    """Return the name of a cell's class; a number has one name however it is written.

    ``1``, ``1.0`` and ``1e0`` are the class ``1``. A number with leading zeros, as a code has, and
    words keep their spelling.
    """
    if _LEADING_ZERO.match(cell) or not is_number(cell, decimal):
        return cell
    value = float(with_point(cell, decimal))
    if not math.isfinite(value):
        return cell
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def alike(names: Sequence[str]) -> list[list[str]]:
    """Return the classes that are probably meant to be one: case, spaces or zeros differ alone."""
    groups: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        key = " ".join(name.casefold().split())
        groups.setdefault((key.lstrip("0") or "0") if key.isdigit() else key, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def is_index(name: str, cells: Sequence[str]) -> bool:
    """Return whether a column counts the rows, as pandas writes its index."""
    if len(cells) < 3 or not all(_is_digits(cell) for cell in cells):
        return False
    first = int(cells[0])
    counts = all(int(cell) == first + number for number, cell in enumerate(cells))
    return counts and (first in (0, 1) or name == "" or name.lower().startswith("unnamed"))


def _likely_delimiter(text: str, quote: str) -> str:
    """Return the sign that divides the first lines evenly, into the cleanest and most cells.

    A cell is clean if it is a number or holds no other sign: a semicolon divides ``0,5;1,5`` into
    two clean cells, a comma into three that are not.
    """
    lines = _first_lines(text, quote)
    candidates: dict[tuple[float, int], str] = {}
    for sign in (" ", ",", "|", "\t", ";"):
        try:
            rows = [cells for cells in cells_of(lines, sign, quote) if any(map(str.strip, cells))]
        except csv.Error:
            continue
        widths = {len(cells) for cells in rows}
        if len(widths) == 1 and (width := widths.pop()) > 1:
            cells = [cell.strip() for row in rows for cell in row]
            clean = sum(_is_clean(cell, sign) for cell in cells) / len(cells)
            candidates[clean, width] = sign
    if candidates:
        return candidates[max(candidates)]
    # Ragged whatever divides it: take the one that occurs most, so that the message is about the
    # ragged row.
    return max((";", "\t", "|", ","), key=lambda sign: sum(line.count(sign) for line in lines))


def _first_lines(text: str, quote: str) -> list[str]:
    """Return the first lines, without those that a quoted line break may have cut in two."""
    lines = [line for line in text.splitlines(keepends=True)[:_LINES] if line.strip()]
    if not quote:
        return lines
    open_quotes = 0
    whole = 0
    for number, line in enumerate(lines, start=1):
        open_quotes += line.count(quote)
        whole = number if open_quotes % 2 == 0 else whole
    return lines[:whole] or lines


def _is_clean(cell: str, delimiter: str) -> bool:
    if is_number(cell, ".") or is_number(cell, ","):
        return True
    return not any(sign in cell for sign in (",", ";", "\t", "|") if sign != delimiter)


def _counts_columns(
    first: Sequence[str], columns: Sequence[Sequence[str]], second: Sequence[str]
) -> bool:
    """Return whether a row of numbers names the columns 0, 1, 2, … as pandas does without names.

    It must be unlike the rows below: so long that no data count so far, or whole where others have
    decimals.
    """
    if not _counts(first) or int(first[0]) not in (0, 1) or _counts(second):
        return False
    whole = [all(_is_digits(cell) for cell in column) for column in columns]
    return len(first) >= _COUNTED_COLUMNS or (len(first) >= 3 and not all(whole))


def _counts(cells: Sequence[str]) -> bool:
    if not all(_is_digits(cell) for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _is_digits(cell: str) -> bool:
    return cell.isascii() and cell.isdigit() and len(cell) < _DIGITS


def _names_a_column(
    cell: str, column: Sequence[str], decimal: str, missing: frozenset[str]
) -> bool:
    """Return whether the first cell of a column is its name: it is unlike all cells below it."""
    if is_number(cell, decimal) or cell.lower() in missing or likely_order([cell]) is not None:
        return False
    present = [other for other in column if other.lower() not in missing]
    if all(is_number(other, decimal) for other in present):
        return True
    if likely_order(present) is not None:
        return True
    # A column of classes: every value occurs again, its name does not.
    distinct = set(column)
    return len(column) >= 4 * len(distinct) and cell not in distinct
