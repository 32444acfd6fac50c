"""The inputs of a model from the columns of a table, by the training rows alone.

Whatever is computed from data is computed from the rows of the training part: the words that get an
input of their own, the values that stand for missing ones. A row of the validation or test part is
encoded by what these rows have shown; a word that none of them has is no input.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optlab.outside.datafiles.csv_table import Input, Table, class_order
from optlab.outside.datafiles.dialect import Missing

MAX_CATEGORIES = 64
"""Words of a column that get an input of their own; the rarer ones share one."""
TEXT_WORDS = 50
"""Words of a column of text that get an input: those in most cells."""
MISSING_NAME = "(missing)"
OTHER_NAME = "(other)"
_YEAR, _WEEK = 365.2425, 7.0
_TOKEN = re.compile(r"\w{2,}")


class ColumnEncoding(ABC):
    """How one column becomes inputs.

    Attributes:
        names: of the inputs.
        unscaled: whether each input stands for words, as 0 or 1 or a code, and is not scaled.
        codes: number of codes that its one input may be; 0 where its inputs are quantities.
    """

    names: tuple[str, ...]
    unscaled: tuple[bool, ...]
    codes: int = 0

    @abstractmethod
    def write(self, values: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """Write the inputs ``[rows, len(names)]`` of values ``[rows]``, nan where missing, to ``out``."""


@dataclass(frozen=True)
class Encoding:
    """How a table becomes inputs: an encoding for each of its columns."""

    columns: tuple[ColumnEncoding, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all inputs."""
        return tuple(name for column in self.columns for name in column.names)

    @property
    def unscaled(self) -> NDArray[np.bool_]:
        """Whether each input stands for words, so that it is not scaled, ``[inputs]``."""
        return np.array([flag for column in self.columns for flag in column.unscaled], dtype=bool)

    def inputs(self, x: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the inputs ``[len(rows), inputs]`` of some rows of a table's ``x``."""
        out = np.empty((len(rows), sum(len(column.names) for column in self.columns)))
        begin = 0
        for number, column in enumerate(self.columns):
            end = begin + len(column.names)
            column.write(x[rows, number], out[:, begin:end])
            begin = end
        return out


def is_plain(table: Table, missing: Missing) -> bool:
    """Return whether the inputs of a table are its numbers as they stand, or their mean."""
    return missing in ("refuse", "drop", "mean") and all(
        column.role.name in ("number", "ordinal", "boolean", "date") for column in table.inputs
    )


def fitted(table: Table, training: NDArray[np.int64], missing: Missing) -> Encoding:
    """Return the encoding of a table by the rows ``training`` ``[m]`` of its training part."""
    columns: list[ColumnEncoding] = []
    for number, column in enumerate(table.inputs):
        values = table.x[training, number]
        if column.role.name == "category":
            columns.append(_Category.fitted(column, values))
        elif column.role.name == "code":
            columns.append(_Code.fitted(column, values))
        elif column.role.name == "text":
            columns.append(_Text.fitted(column, values))
        else:
            columns.append(_number(column, values, missing))
    return Encoding(tuple(columns))


# --- numbers --------------------------------------------------------------------------------------


def _number(column: Input, values: NDArray[np.float64], missing: Missing) -> ColumnEncoding:
    present = values[~np.isnan(values)]
    fill = 0.0
    if len(present):
        # The halves of large numbers, so that their sum stays in range.
        fill = float(np.median(present)) if missing == "median" else float(np.mean(present / 2)) * 2
    noted = missing == "indicator" and len(present) < len(values)
    kind = _Calendar if column.role.name == "calendar" else _Number
    return kind(column.name, fill, noted=noted)


class _Number(ColumnEncoding):
    """A number, and where ``noted`` another input that is 1 where it is missing."""

    def __init__(self, name: str, fill: float, *, noted: bool) -> None:
        self.fill, self.noted = fill, noted
        own = self.parts(name)
        self.names = (*own, f"{name}={MISSING_NAME}") if noted else own
        self.unscaled = (False,) * len(own) + (True,) * noted

    def parts(self, name: str) -> tuple[str, ...]:
        """Return the names of the inputs of a value that is there."""
        return (name,)

    def write(self, values: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        missing = np.isnan(values)
        self._write_present(np.where(missing, self.fill, values), out)
        if self.noted:
            out[:, -1] = missing

    def _write_present(self, values: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        out[:, 0] = values


class _Calendar(_Number):
    """A date, and its place in the year and in the week as points on a circle."""

    def parts(self, name: str) -> tuple[str, ...]:
        return (
            name,
            *(f"{name} {part}" for part in ("year sin", "year cos", "week sin", "week cos")),
        )

    def _write_present(self, values: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        out[:, 0] = values
        for place, period in ((1, _YEAR), (3, _WEEK)):
            angle = 2.0 * math.pi * (values / period)
            out[:, place], out[:, place + 1] = np.sin(angle), np.cos(angle)


# --- words ----------------------------------------------------------------------------------------


class _Coded(ColumnEncoding):
    """Inputs of 0 or 1 that depend on the cell alone: a row of ``matrix`` for each distinct cell.

    Args:
        matrix: ``[cells + 1, inputs]``; the last row is that of a missing cell.
    """

    def __init__(self, names: Sequence[str], matrix: NDArray[np.bool_]) -> None:
        self.names, self.unscaled = tuple(names), (True,) * len(names)
        self.matrix = matrix

    def write(self, values: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        missing = len(self.matrix) - 1
        codes = np.where(np.isnan(values), missing, values).astype(np.int64)
        for place in range(out.shape[1]):
            out[:, place] = self.matrix[codes, place]


def _counts(column: Input, values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many of the values are each distinct cell, ``[cells]``."""
    present = values[~np.isnan(values)].astype(np.int64)
    return np.bincount(present, minlength=len(column.cells))


class _Category(_Coded):
    """One input for each word of the training rows (one-hot)."""

    @classmethod
    def fitted(cls, column: Input, values: NDArray[np.float64]) -> _Category:
        """Return the encoding by the values ``[n]`` of the training rows."""
        counts = _counts(column, values)
        used = np.flatnonzero(counts).tolist()
        kept = sorted(used, key=lambda code: (-counts[code], column.cells[code]))[:MAX_CATEGORIES]
        kept.sort(key=lambda code: class_order(column.cells[code]))
        names = [column.cells[code] for code in kept]
        matrix = np.zeros((len(column.cells) + 1, len(kept) + 2), dtype=bool)
        matrix[kept, np.arange(len(kept))] = True
        others = len(used) > len(kept)
        missing = bool(np.isnan(values).any())
        if others:
            rare = np.ones(len(column.cells) + 1, dtype=bool)
            rare[kept] = rare[-1] = False
            matrix[rare, len(names)] = True
            names.append(OTHER_NAME)
        if missing:
            matrix[-1, len(names)] = True
            names.append(MISSING_NAME)
        return cls([f"{column.name}={name}" for name in names], matrix[:, : len(names)])


class _Code(ColumnEncoding):
    """The number of a word among those of the training rows, from 1; 0 for every other cell.

    Args:
        numbers: of each distinct cell, ``[cells + 1]``; the last is that of a missing one.
    """

    def __init__(self, name: str, numbers: NDArray[np.int64]) -> None:
        self.names, self.unscaled = (name,), (True,)
        self.numbers = numbers
        self.codes = int(numbers.max()) + 1

    def write(self, values: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        missing = len(self.numbers) - 1
        cells = np.where(np.isnan(values), missing, values).astype(np.int64)
        out[:, 0] = self.numbers[cells]

    @classmethod
    def fitted(cls, column: Input, values: NDArray[np.float64]) -> _Code:
        """Return the encoding by the values ``[n]`` of the training rows."""
        used = np.flatnonzero(_counts(column, values)).tolist()
        used.sort(key=lambda cell: class_order(column.cells[cell]))
        numbers = np.zeros(len(column.cells) + 1, dtype=np.int64)
        numbers[used] = np.arange(1, len(used) + 1)
        return cls(column.name, numbers)


class _Text(_Coded):
    """One input for each of the words that stand in most cells of the training rows."""

    @classmethod
    def fitted(cls, column: Input, values: NDArray[np.float64]) -> _Text:
        """Return the encoding by the values ``[n]`` of the training rows."""
        counts = _counts(column, values)
        words = [set(_TOKEN.findall(cell.casefold())) for cell in column.cells]
        cells_with: Counter[str] = Counter()
        for code in np.flatnonzero(counts).tolist():
            for word in words[code]:
                cells_with[word] += int(counts[code])
        ranked = sorted(cells_with, key=lambda word: (-cells_with[word], word))
        # A word of one row or of every row tells nothing.
        useful = [word for word in ranked if 1 < cells_with[word] < len(values)]
        kept = sorted(useful[:TEXT_WORDS])
        matrix = np.zeros((len(column.cells) + 1, len(kept)), dtype=bool)
        for code, own in enumerate(words):
            matrix[code] = [word in own for word in kept]
        return cls([f"{column.name}: {word}" for word in kept], matrix)
