"""A CSV file of the user."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import Data, DataShape, InputGroup
from optlab.core.errors import InvalidInput
from optlab.core.fields import Texts, choice, names, text
from optlab.outside.datafiles.csv_table import Table, read_table, reading
from optlab.outside.datafiles.dialect import (
    Asked,
    Decimal,
    Delimiter,
    Dialect,
    Encoding,
    Header,
    Missing,
    Quote,
)
from optlab.outside.datafiles.encoding import Encoding as InputEncoding
from optlab.outside.datafiles.encoding import fitted, is_plain
from optlab.outside.datafiles.roles import CODED, parsed
from optlab.outside.datafiles.table_report import TableReport, report


class CSVFile(Dataset):
    """Your own table: one example per row, and columns with roles, one of them the target.

    A column is a number unless a role is stated for it: category (one input for each of its words),
    ordinal, boolean, date, calendar, code (the number of a word, for an embedding in a model of your
    own with several inputs), text, id or ignore. Everything that is computed from the data
    (means that stand for missing values, the words that get an input, offset and scale) is computed
    from the training rows alone. Inputs of 0 and 1 that stand for words are not standardized.

    Nothing is guessed silently: an error names the line and column that cannot be read. Words in
    the target column become classes; a real-valued target is used as stored in the file.
    """

    name: ClassVar[str] = "csv_file"
    label: ClassVar[str] = "CSV file…"
    group: ClassVar[str] = "Your own"
    sort_order: ClassVar[int] = 90
    source: ClassVar[str] = "Your own data."

    path: str = text(
        "",
        "File",
        longest=4096,
        help="Path of the file; a relative path starts from the folder in which OptLab was "
        "started.",
    )
    target: str = text(
        "",
        "Target column",
        help="Name of the column to predict, or its number from 1; empty for the last one.",
    )
    task: Asked = choice(
        "auto",
        "Task",
        help="Whether the target is a class or a real number; auto: classes if the column holds "
        "words or few distinct integers.",
    )
    columns: Texts = names(
        (),
        "Roles",
        help="What columns are for, as NAME=ROLE; a column that is not listed is a number. Roles: "
        "number, category, ordinal:S<M<L, boolean, date, date:dmy, date:mdy, calendar, code, text, "
        "id, ignore.",
    )
    missing: Missing = choice(
        "refuse",
        "Missing values",
        help="Whether a missing value is an error, drops its row, or is replaced by the mean or "
        "the median of its column over the training part; indicator: by the mean, with another "
        "input that says where it was missing. A missing word is a category of its own.",
    )
    ignore: Texts = names(
        (),
        "Ignored columns",
        help="Columns that are not inputs, by name or number from 1: an identifier, a row number.",
    )
    missing_words: Texts = names(
        (),
        "Missing words",
        help="Cells that stand for a missing value, such as -999, beside empty ones, NA, NaN, "
        "null, none, ? and -.",
    )
    delimiter: Delimiter = choice("auto", "Delimiter", help="Character between columns.")
    decimal: Decimal = choice(
        "auto", "Decimal sign", help="Whether numbers are written 1.5 or 1,5."
    )
    header: Header = choice("auto", "Header", help="Whether the first row names the columns.")
    quote: Quote = choice(
        "double", "Quotes", help="Sign around cells that hold a delimiter or a line break."
    )
    encoding: Encoding = choice(
        "auto",
        "Encoding",
        help="How characters are stored; auto: UTF-8, or what the first bytes of the file declare.",
    )

    def shape(self) -> DataShape:
        return _shape_of(self, *self._key()[2:])

    def fields_of_values(self) -> tuple[str, ...]:
        # The words that have an input are those of the training rows, which the data seed chooses.
        fixed = self.missing != "indicator" and not any(
            parsed(entry)[1].name in CODED for entry in self.columns
        )
        return self.value_fields if fixed else ("standardize", "unit_range")

    def examples(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        table = self.table()
        # Not a copy: a large table is in memory once. What is changed are its parts.
        x = table.x.view()
        x.setflags(write=False)
        return x, table.y.copy()

    def inputs(
        self, x: NDArray[np.float64], rows: Sequence[NDArray[np.int64]]
    ) -> list[NDArray[np.float64]]:
        encoding = self._encoding()
        if encoding is None:
            return super().inputs(x, rows)
        parts = [encoding.inputs(x, part) for part in rows]
        if parts[0].shape[1] == 0:
            raise InvalidInput(
                f"{self.path}: the training rows leave no input; state other roles "
                "(dataset.columns).",
                "dataset.columns",
            )
        return parts

    def unscaled(self) -> NDArray[np.bool_] | None:
        encoding = self._encoding()
        return None if encoding is None else encoding.unscaled

    def input_names(self) -> Sequence[str]:
        encoding = self._encoding()
        return self.table().names if encoding is None else encoding.names

    def reads_outside(self) -> bool:
        return bool(self.path)

    def short_name(self) -> str:
        return Path(self.path).name or self.name

    def class_names(self) -> Sequence[str]:
        return self.table().class_names

    def dialect(self) -> Dialect:
        """Return the options for reading the file."""
        return Dialect(
            self.delimiter,
            self.decimal,
            self.header,
            self.missing,
            self.target,
            self.task,
            self.ignore,
            self.quote,
            self.encoding,
            self.missing_words,
            self.columns,
        )

    def files(self) -> tuple[Path, ...]:
        return (Path(self.path).expanduser(),) if self.path else ()

    def prepare(self) -> Iterator[float]:
        key = self._key()
        if key not in _tables:
            _make_room(key)
            _tables[key] = yield from reading(key[0], key[1])

    def column_inputs(self) -> list[tuple[str, ...]]:
        """Return the names of the inputs that each input column becomes."""
        encoding = self._encoding()
        if encoding is None:
            return [(name,) for name in self.table().names]
        return [column.names for column in encoding.columns]

    def table_report(self, data: Data) -> TableReport:
        table = self.table()
        return report(table, self._training(), self.column_inputs(), data)

    def _training(self) -> NDArray[np.int64]:
        """Return the rows of the training part."""
        table = self.table()
        classes = table.y.astype(np.int64) if table.task == "classes" else None
        return self.split(len(table.x), classes)[0]

    def _encoding(self) -> InputEncoding | None:
        """Return how columns become inputs; None where each is its number."""
        table = self.table()
        if is_plain(table, self.missing):
            return None
        return _encoding_of(self, *self._key()[2:])

    def _key(self) -> _Key:
        if not self.path:
            raise InvalidInput(
                "dataset.path is empty; it must be the path of a CSV file.", "dataset.path"
            )
        path = Path(self.path).expanduser()
        try:
            state = path.stat()
        except (OSError, ValueError) as error:  # ValueError: a path with a zero byte in it
            raise InvalidInput(
                f"dataset.path: {path} cannot be read: "
                f"{getattr(error, 'strerror', None) or error}.",
                "dataset.path",
            ) from None
        return path, self.dialect(), state.st_mtime_ns, state.st_size

    def table(self) -> Table:
        """Return the columns as they stand in the file, all rows in its order.

        Raises:
            InvalidInput: the file cannot be read, or not as it is stated to be written.
        """
        key = self._key()
        if key not in _tables:
            _make_room(key)
            _tables[key] = read_table(key[0], key[1])
        _tables.move_to_end(key)
        return _tables[key]


_Key = tuple[Path, Dialect, int, int]
"""What a table was read from: path, dialect, and time and size of the file."""
_MOST_TABLES = 2
_LARGE_BYTES = 64 * 1024 * 1024
"""Beside a table of more bytes no other is kept."""
_tables: OrderedDict[_Key, Table] = OrderedDict()
"""The tables that were read last: a file is read again when it, or how it is read, has changed."""


def _make_room(key: _Key) -> None:
    """Forget tables, so that there is room for another one."""
    if max([key[3], *(other[3] for other in _tables)]) > _LARGE_BYTES:
        _tables.clear()
        _encoding_of.cache_clear()
    while len(_tables) >= _MOST_TABLES:
        _tables.popitem(last=False)


@functools.lru_cache(maxsize=2)
def _encoding_of(dataset: CSVFile, modified: int, size: int) -> InputEncoding:
    """Return the encoding of a file's table by the training rows of a data set."""
    return fitted(dataset.table(), dataset._training(), dataset.missing)


@functools.lru_cache(maxsize=2)
def _shape_of(dataset: CSVFile, modified: int, size: int) -> DataShape:
    """Return the shape of a file's table, with what each of its columns becomes."""
    table, encoding = dataset.table(), dataset._encoding()
    if encoding is None:
        groups = tuple(InputGroup(column.name, (1,)) for column in table.inputs)
    else:
        groups = tuple(
            InputGroup(column.name, (len(own.names),), own.codes)
            for column, own in zip(table.inputs, encoding.columns, strict=True)
            if own.names
        )
    outputs = len(table.class_names) if table.task == "classes" else 1
    return DataShape((sum(group.width for group in groups),), outputs, table.task, groups)
