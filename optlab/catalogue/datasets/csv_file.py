"""A CSV file of the user."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.fields import Texts, choice, names, text
from optlab.outside.datafiles.csv_table import Table, read_table
from optlab.outside.datafiles.dialect import Asked, Decimal, Delimiter, Dialect, Header, Missing


class CSVFile(Dataset):
    """Your own table: one example per row, one input per column, and one column for the target.

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
    delimiter: Delimiter = choice("auto", "Delimiter", help="Character between columns.")
    decimal: Decimal = choice(
        "auto", "Decimal sign", help="Whether numbers are written 1.5 or 1,5."
    )
    header: Header = choice("auto", "Header", help="Whether the first row names the columns.")
    missing: Missing = choice(
        "refuse",
        "Missing values",
        help="Whether a missing value is an error, drops its row, or is replaced by the mean of "
        "its "
        "column over the training part.",
    )
    ignore: Texts = names(
        (),
        "Ignored columns",
        help="Columns that are not inputs, by name or number from 1: an identifier, a row number.",
    )

    def shape(self) -> DataShape:
        table = self._table()
        return DataShape(
            (table.x.shape[1],),
            len(table.class_names) if table.task == "classes" else 1,
            table.task,
        )

    def examples(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        table = self._table()
        return table.x.copy(), table.y.copy()

    def input_names(self) -> Sequence[str]:
        return self._table().names

    def reads_outside(self) -> bool:
        return bool(self.path)

    def short_name(self) -> str:
        return Path(self.path).name or self.name

    def class_names(self) -> Sequence[str]:
        return self._table().class_names

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
        )

    def files(self) -> tuple[Path, ...]:
        return (Path(self.path).expanduser(),) if self.path else ()

    def _table(self) -> Table:
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
        return _read(path, self.dialect(), state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=2)
def _read(path: Path, dialect: Dialect, modified: int, size: int) -> Table:
    """Read the table of a file, again when the file has changed."""
    return read_table(path, dialect)
