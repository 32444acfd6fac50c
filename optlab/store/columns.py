"""Tables whose columns are the fields of a record: a column is declared once, as a field.

The lists of SELECT and INSERT, the parsing of rows and what the checksum covers follow from the
declarations. A new column is a field at the end of its record and a migration that adds it.
"""

from __future__ import annotations

import dataclasses
import gc
import json as json_
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from optlab.store.checksums import checksums, matching

Statement = tuple[str, tuple[Any, ...]]
"""SQL, and the values of its parameters."""

_CHANGED = re.compile(r"(?:INSERT INTO|INSERT OR REPLACE INTO|UPDATE) (\w+)")
_INVALID: Final = object()
_PARAMETERS = 500
_scan = json_.JSONDecoder().scan_once  # type: ignore[attr-defined]  # without a frame of its own

Record = TypeVar("Record")


def column(fits: Callable[[Any], bool], *, json: bool = False, default: Any = None) -> Any:
    """Declare a field of a record as a column of its table.

    Args:
        fits: whether a value, decoded where it is JSON, is one that OptLab writes.
        json: whether the value is stored as a JSON document. A list is read as a tuple.
        default: value of a new record; None where there is none. The migration that adds the
            column gives it to the rows that exist.
    """
    metadata = {"fits": fits, "json": json}
    if default is None:
        return dataclasses.field(metadata=metadata)
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: of the column and of its field.
        fits, json: see :func:`column`.
        text: whether it holds text, JSON included.
    """

    name: str
    fits: Callable[[Any], bool]
    json: bool
    text: bool

    def encode(self, value: object) -> object:
        """Return a value as it is stored."""
        if not self.json:
            return value
        return json_.dumps(dict(value) if isinstance(value, Mapping) else value)

    def decode(self, stored: Any) -> Any:
        """Return the value of what is stored, ``_INVALID`` where OptLab does not write that."""
        try:
            value = stored
            if self.json:
                value, end = _scan(stored, 0)
                if end != len(stored):
                    return _INVALID
            if not self.fits(value):
                return _INVALID
        except (TypeError, ValueError, RecursionError, StopIteration):
            return _INVALID
        return tuple(value) if self.json and isinstance(value, list) else value

    def decode_all(self, stored: Sequence[Any]) -> Sequence[Any]:
        """Return the values of several rows."""
        if not self.json and self._fit_all(set(stored) if self.text else stored):
            return stored
        if not self.text:
            # Numbers cannot be looked up: 1 and 1.0 are equal.
            return [self.decode(item) for item in stored]
        # Most texts occur in many rows.
        values = {item: self.decode(item) for item in set(stored)}
        return [values[item] for item in stored]

    def _fit_all(self, values: Collection[Any]) -> bool:
        try:
            return all(map(self.fits, values))
        except (TypeError, ValueError):
            return False


@dataclass(frozen=True)
class Table:
    """A table of metadata, each row of which has a checksum of all its other columns.

    Attributes:
        name: of the table.
        names: of its columns without the checksum, in the order in which the checksum covers them.
        run: column with the id of the run, or of the study, that a row belongs to.
    """

    name: str
    names: tuple[str, ...]
    run: str = "run"

    @cached_property
    def columns(self) -> str:
        """The columns without the checksum, as a list in SQL."""
        return ", ".join(self.names)

    @cached_property
    def intact(self) -> str:
        """The SQL condition that a row is intact."""
        return matching(self.names)

    def write_checksums(self, connection: sqlite3.Connection, *runs: str) -> None:
        """Write the checksums that rows of runs, or of studies, lack, in the transaction of a change.

        A statement that inserts or changes a row leaves it without one.
        """
        for part in parts(runs):
            connection.execute(
                f"UPDATE {self.name} SET checksum = optlab_checksum({self.columns}) "
                f"WHERE {self.run} IN ({marks(part)}) AND checksum IS NULL",
                part,
            )


@dataclass(frozen=True)
class RecordTable(Table, Generic[Record]):
    """A table whose rows are records of one type; made by :func:`table_of`."""

    kind: type[Record] | None = None
    fields: tuple[Column, ...] = ()

    @cached_property
    def insert(self) -> str:
        """SQL that inserts a row; its parameters are those of :meth:`values`."""
        return f"INSERT INTO {self.name} ({self.columns}) VALUES ({marks(self.names)})"

    @cached_property
    def replace(self) -> str:
        """SQL that inserts a row, or replaces the one with the same key."""
        return self.insert.replace("INSERT", "INSERT OR REPLACE", 1)

    def values(self, record: Record) -> tuple[object, ...]:
        """Return the values of a record, in the order of :attr:`insert`."""
        return tuple(field.encode(getattr(record, field.name)) for field in self.fields)

    def update(self, run: str, **changes: object) -> Statement:
        """Return the statement that changes columns of a run's rows."""
        by_name = {field.name: field for field in self.fields}
        assignments = ", ".join(f"{name} = ?" for name in changes)
        values = [by_name[name].encode(value) for name, value in changes.items()]
        changed = f"UPDATE {self.name} SET {assignments}, checksum = NULL WHERE {self.run} = ?"
        return changed, (*values, run)

    def parse(self, rows: Sequence[tuple[Any, ...]]) -> tuple[list[Record], list[str]]:
        """Return the records of intact rows, in order, and what is wrong with each damaged row.

        The work is done column by column, as a list of runs has many rows with equal values.

        Args:
            rows: values of :attr:`columns`, and the checksum.
        """
        if not rows:
            return [], []
        with _without_collections():
            return self._parse(rows)

    def _parse(self, rows: Sequence[tuple[Any, ...]]) -> tuple[list[Record], list[str]]:
        assert self.kind is not None
        *stored, _ = zip(*rows, strict=True)
        columns = [
            field.decode_all(items) for field, items in zip(self.fields, stored, strict=True)
        ]
        actual = checksums([row[:-1] for row in rows])
        records: list[Record] = []
        problems: list[str] = []
        for row, values, checksum in zip(rows, zip(*columns, strict=True), actual, strict=True):
            if _INVALID in values:
                at = values.index(_INVALID)
                problems.append(f"its {self.names[at]} is {str(row[at])[:80]!r}")
            elif row[-1] is not None and row[-1] != checksum:
                problems.append(f"{row[0]} does not match its checksum")
            else:
                # The constructor of a frozen class calls a function for each field, which would
                # take a third of the time.
                record = object.__new__(self.kind)
                record.__dict__.update(zip(self.names, values, strict=True))
                records.append(record)
        return records, problems


@contextmanager
def _without_collections() -> Iterator[None]:
    """Let no garbage be collected inside: it would be searched for again and again in new rows."""
    active = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if active:
            gc.enable()


def table_of(name: str, kind: type[Record], run: str = "run") -> RecordTable[Record]:
    """Return the table whose columns are the fields of ``kind`` that :func:`column` declares."""
    fields = tuple(
        Column(
            field.name,
            field.metadata["fits"],
            field.metadata["json"],
            text=field.metadata["json"] or field.type not in ("int", "float"),
        )
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        if "fits" in field.metadata
    )
    return RecordTable(name, tuple(field.name for field in fields), run, kind, fields)


def parts(ids: Collection[str]) -> Iterator[tuple[str, ...]]:
    """Yield ids in parts that fit into one statement: not every SQLite takes 1,000 parameters."""
    ordered = tuple(ids)
    for first in range(0, len(ordered), _PARAMETERS):
        yield ordered[first : first + _PARAMETERS]


def marks(values: Collection[object]) -> str:
    """Return the parameters of a statement, one a value."""
    return ", ".join("?" * len(values))


def changed_tables(statements: Sequence[str]) -> set[str]:
    """Return the names of the tables in which the statements insert or update rows."""
    return {match.group(1) for sql in statements if (match := _CHANGED.match(sql))}
