"""The columns of a table while it is read: numbers in one array that grows, words as codes.

Blocks of rows are appended as they come. The array is enlarged by what the rest of the file will
probably need and shrunk at the end, so that the numbers of a table are in memory once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optlab.outside.datafiles.dialect import CLASS_WORDS, Dialect, is_number
from optlab.outside.datafiles.roles import CODED, Role

_ROWS = 1 << 16
"""Rows that are moved at a time."""


@dataclass(frozen=True)
class Plan:
    """What is read of a table.

    Attributes:
        delimiter, decimal: the signs. header_line: number of the line on which the header ends,
            from 1; 0 where there is none.
        names: of the columns. trailing: whether each line has an empty cell behind the last column.
        inputs: role of each input column by its number. target: number of the target column.
    """

    path: Path
    dialect: Dialect
    delimiter: str
    decimal: str
    header_line: int
    names: tuple[str, ...]
    trailing: bool
    inputs: dict[int, Role]
    target: int

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles of the input columns, in order."""
        return tuple(self.inputs.values())

    @property
    def width(self) -> int:
        """Number of cells in each line."""
        return len(self.names) + self.trailing


@dataclass(frozen=True)
class Collected:
    """All rows that were kept.

    Attributes:
        x: ``[n, inputs]``; nan where a cell is missing, and the number of the cell among the
            distinct ones where the role is coded.
        cells: the distinct cells of each input, sorted; () where the role is not coded.
        target_cells: distinct cells of the target, sorted. targets: the number of each row's among
            them, ``[n]``.
        lines: line of each row ``[n]``, or () where it is not known.
        dropped: number of rows that were left out.
    """

    x: NDArray[np.float64]
    cells: tuple[tuple[str, ...], ...]
    target_cells: tuple[str, ...]
    targets: NDArray[np.int64]
    lines: Sequence[int] | NDArray[np.int64]
    dropped: int


class Collector:
    """Collects blocks of rows.

    Args:
        plan: what is read. with_lines: whether the number of each row's line is kept.

    Attributes:
        vocabularies: of each coded input, cell → number; of the others empty.
        target_words: the same of the target.
        count: rows so far.
    """

    def __init__(self, plan: Plan, *, with_lines: bool) -> None:
        self._plan = plan
        self.vocabularies: list[dict[str, int]] = [{} for _ in plan.inputs]
        self.target_words: dict[str, int] = {}
        self.count = 0
        self._x = np.empty((0, len(plan.inputs)))
        self._targets = np.empty(0, dtype=np.int64)
        self._lines = np.empty(0, dtype=np.int64) if with_lines else None

    def add(
        self,
        columns: Sequence[NDArray[np.float64]],
        targets: NDArray[np.int64],
        share: float,
        lines: NDArray[np.int64] | None = None,
    ) -> None:
        """Append rows.

        Args:
            columns: the values of each input, ``[rows]`` each. targets: numbers among
                :attr:`target_words`, ``[rows]``.
            share: of the file that was read with these rows.
            lines: of the rows, ``[rows]``.
        """
        end = self.count + len(targets)
        if end > len(self._x):
            self._resize(end + int(end * max(0.0, min(1.0 / max(share, 1e-6) - 1.0, 4.0)) * 1.02))
        for number, column in enumerate(columns):
            self._x[self.count : end, number] = column
        self._targets[self.count : end] = targets
        if self._lines is not None and lines is not None:
            self._lines[self.count : end] = lines
        self.count = end

    def is_blank(self, columns: Sequence[NDArray[np.float64]]) -> NDArray[np.bool_]:
        """Return which rows have no input at all, ``[rows]``."""
        blank = np.ones(len(columns[0]), dtype=bool)
        for column in columns:
            blank &= np.isnan(column)
        return blank

    def absent_targets(self) -> frozenset[str]:
        """Return the words that stand for a missing target: among words, "none" is a class."""
        missing = self._plan.dialect.missing_cells
        words = any(
            cell.lower() not in missing and not is_number(cell, ".") for cell in self.target_words
        )
        return missing - CLASS_WORDS if words else missing

    def incomplete(self) -> NDArray[np.bool_]:
        """Return which rows lack an input, ``[rows]``."""
        result = np.zeros(self.count, dtype=bool)
        for begin in range(0, self.count, _ROWS):
            rows = slice(begin, min(begin + _ROWS, self.count))
            result[rows] = np.isnan(self._x[rows]).any(axis=1)
        return result

    def without_target(self) -> NDArray[np.bool_]:
        """Return which rows lack the target, ``[rows]``."""
        absent = self.absent_targets()
        lacking = np.array([cell.lower() in absent for cell in self.target_words], dtype=bool)
        return lacking[self._targets[: self.count]] if len(lacking) else np.zeros(0, dtype=bool)

    def line_of(self, row: int) -> int:
        """Return the line of a row, 0 where it is not known."""
        return int(self._lines[row]) if self._lines is not None else 0

    def collected(self, kept: NDArray[np.bool_], dropped: int = 0) -> Collected:
        """Return the rows that are kept, with all distinct cells in order. Call it once.

        Args:
            kept: ``[rows]``. dropped: rows that were not even appended.
        """
        rows = self.count
        if not kept.all():
            self._compact(kept)
        self._resize(self.count)
        cells = []
        for number, (role, words) in enumerate(
            zip(self._plan.roles, self.vocabularies, strict=True)
        ):
            if role.name in CODED:
                codes = self._x[:, number]
                present = ~np.isnan(codes)
                used, renumbered = _in_order(words, codes[present].astype(np.int64))
                codes[present] = renumbered
                cells.append(used)
            else:
                cells.append(())
        target_cells, targets = _in_order(self.target_words, self._targets)
        lines = () if self._lines is None else self._lines
        return Collected(
            self._x, tuple(cells), target_cells, targets, lines, dropped + rows - self.count
        )

    def _compact(self, kept: NDArray[np.bool_]) -> None:
        """Move the rows that are kept to the front, some at a time."""
        place = 0
        for begin in range(0, self.count, _ROWS):
            some = kept[begin : min(begin + _ROWS, self.count)]
            end = begin + len(some)
            moved = slice(place, place + int(some.sum()))
            self._x[moved] = self._x[begin:end][some]
            self._targets[moved] = self._targets[begin:end][some]
            if self._lines is not None:
                self._lines[moved] = self._lines[begin:end][some]
            place = moved.stop
        self.count = place

    def _resize(self, rows: int) -> None:
        # Nothing else has a view of these arrays while rows are appended.
        self._x.resize((rows, len(self._plan.inputs)), refcheck=False)
        self._targets.resize(rows, refcheck=False)
        if self._lines is not None:
            self._lines.resize(rows, refcheck=False)


def numbered(cells: Sequence[str], words: dict[str, int]) -> NDArray[np.int64]:
    """Return the number of each cell, ``[len(cells)]``; new ones are added to ``words``."""
    return np.array([words.setdefault(cell, len(words)) for cell in cells], dtype=np.int64)


def _in_order(
    words: dict[str, int], codes: NDArray[np.int64]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the words that are used, sorted, and the codes ``[n]`` as numbers among these."""
    used = np.bincount(codes, minlength=len(words)) > 0 if len(codes) else np.zeros(len(words))
    listed = list(words)
    ordered = sorted(number for number, is_used in enumerate(used) if is_used)
    ordered.sort(key=listed.__getitem__)
    places = np.zeros(len(words), dtype=np.int64)
    places[ordered] = np.arange(len(ordered))
    return tuple(listed[number] for number in ordered), places[codes]
