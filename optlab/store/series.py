"""Reading series: chunks are verified, joined, and split into one array per series.

A damaged chunk is an error that names the run, the series and the steps; wrong numbers are never
returned.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from optlab.core.errors import StoreError
from optlab.core.lazy import numpy as np
from optlab.store.checksums import checksums
from optlab.store.chunks import Chunk, Table, decode, from_row, steps_of
from optlab.store.columns import marks, parts
from optlab.store.series_groups import Spec, width

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Piece = tuple[tuple[str, ...], NDArray[np.int64], Table]
    """Columns, steps ``[n]`` and values ``[C, n]`` of a series in one group."""

_FEW_GROUPS = 100


@dataclass(frozen=True, eq=False)
class StoredSeries:
    """All values of one series of one run.

    Attributes:
        steps: ``[n]``, number of completed steps, ascending.
        values: ``[n]``, or ``[n, K]`` for K numbers per step; NaN where one of the K was not
            recorded at that step.
        columns: names of the K columns, for example of the followed weights; () for one number per
            step.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    columns: tuple[str, ...] = ()


def groups(connection: sqlite3.Connection, run: str) -> dict[int, tuple[Spec, ...]]:
    """Return number → series of each group of a run, the oldest group first.

    Raises:
        StoreError: the stored names are damaged.
    """
    return groups_of(connection, [run])[run]


def groups_of(
    connection: sqlite3.Connection, runs: Sequence[str]
) -> dict[str, dict[int, tuple[Spec, ...]]]:
    """Return run → its :func:`groups`, of several runs at once.

    Raises:
        StoreError: the stored names of a run are damaged.
    """
    found: dict[str, dict[int, tuple[Spec, ...]]] = {run: {} for run in runs}
    # The runs of a population have the same.
    known: dict[str, tuple[Spec, ...]] = {}
    for part in parts(runs):
        # As bytes: of text that is no UTF-8 SQLite's error would name no run.
        stored = connection.execute(
            "SELECT run, number, CAST(columns AS BLOB), checksum FROM bundles "
            f"WHERE run IN ({marks(part)}) ORDER BY run, number",
            part,
        ).fetchall()
        rows = [
            (run, number, (columns or b"").decode("utf-8", "surrogateescape"))
            for run, number, columns, _ in stored
        ]
        for (run, number, text), actual, (*_, expected) in zip(
            rows, checksums(rows), stored, strict=True
        ):
            try:
                if expected is not None and expected != actual:
                    raise ValueError("a row does not match its checksum")
                if text not in known:
                    known[text] = specs_of(text)
                found[run][number] = known[text]
            except (TypeError, ValueError, RecursionError) as error:
                raise StoreError(
                    f"Run {run}: the names of its series are damaged in the stored file; {_ADVICE}"
                ) from error
    return found


def specs_of(text: Any) -> tuple[Spec, ...]:
    """Return the series of a group from the JSON document of its row.

    Raises:
        TypeError, ValueError, RecursionError: it is not such a document.
    """
    return tuple(_spec(*entry) for entry in json.loads(text))


def _spec(name: object, columns: object) -> Spec:
    if (
        not isinstance(name, str)
        or not isinstance(columns, list)
        or not all(isinstance(column, str) for column in columns)
    ):
        raise TypeError("not the names of a series")
    return name, tuple(columns)


def read(
    connection: sqlite3.Connection, run: str, names: Collection[str] | None = None
) -> dict[str, StoredSeries]:
    """Return the series of a run by name.

    Args:
        connection: to the database.
        run: id of the run.
        names: of the series to read; None for all.

    Raises:
        StoreError: a chunk is damaged or missing.
    """
    return read_many(connection, [run], names)[run]


def read_many(
    connection: sqlite3.Connection, runs: Sequence[str], names: Collection[str] | None = None
) -> dict[str, dict[str, StoredSeries]]:
    """Return run → its series by name, of several runs at once.

    Args:
        connection: to the database.
        runs: ids of the runs.
        names: of the series to read; None for all.

    Raises:
        StoreError: a chunk of a run is damaged or missing.
    """
    wanted = {
        run: {
            number: specs
            for number, specs in own.items()
            if names is None or any(name in names for name, _ in specs)
        }
        for run, own in groups_of(connection, runs).items()
    }
    found: dict[str, dict[str, list[_Piece]]] = {run: {} for run in runs}
    for run, number, table in _tables(connection, wanted):
        steps, at = steps_of(table), 1
        for name, columns in wanted[run][number]:
            size = len(columns) or 1
            if names is None or name in names:
                found[run].setdefault(name, []).append((columns, steps, table[at : at + size]))
            at += size
    return {
        run: {name: _joined(pieces) for name, pieces in own.items()} for run, own in found.items()
    }


def _tables(
    connection: sqlite3.Connection, wanted: Mapping[str, Mapping[int, tuple[Spec, ...]]]
) -> Iterator[tuple[str, int, Table]]:
    """Yield run, number and table ``[1 + C, n]`` of each group that has chunks, by run."""
    ids = [run for run, groups in wanted.items() if groups]
    numbers = sorted({number for run in ids for number in wanted[run]})
    # Of a few groups the chunks of the others, which may be large, are not even read.
    chosen = f"AND bundle IN ({marks(numbers)}) " if len(numbers) <= _FEW_GROUPS else ""
    for part in parts(ids):
        rows = connection.execute(
            f"SELECT {_FIELDS} FROM chunks WHERE run IN ({marks(part)}) {chosen}"
            "ORDER BY run, bundle, number",
            (*part, *(numbers if chosen else ())),
        )
        for (run, number), chunks in itertools.groupby(rows, key=itemgetter(0, 1)):
            if number in wanted[run]:
                yield run, number, _table(chunks, wanted[run][number])


def read_between(
    connection: sqlite3.Connection, run: str, name: str, first: int, last: int
) -> StoredSeries | None:
    """Return the values of a series of steps from ``first`` to ``last``; None where there are none.

    Only the chunks with these steps are read.

    Raises:
        StoreError: one of them is damaged.
    """
    pieces: list[_Piece] = []
    for number, specs in groups(connection, run).items():
        at = 1
        for series, columns in specs:
            size = len(columns) or 1
            if series == name:
                query = (
                    f"SELECT {_FIELDS} FROM chunks WHERE run = ? AND bundle = ? "
                    "AND last_step >= ? AND first_step <= ? ORDER BY number"
                )
                for row in connection.execute(query, (run, number, first, last)):
                    table = _verified(_chunk(row, specs), specs)
                    steps = steps_of(table)
                    inside = (steps >= first) & (steps <= last)
                    pieces.append((columns, steps[inside], table[at : at + size, inside]))
            at += size
    return _joined(pieces) if pieces else None


def last_chunk(
    connection: sqlite3.Connection, run: str, number: int, specs: tuple[Spec, ...]
) -> tuple[Chunk, Table] | None:
    """Return the last chunk of a group and its table ``[1 + C, n]``, None where it has none.

    Raises:
        StoreError: it is damaged.
    """
    newest = (
        f"SELECT {_FIELDS} FROM chunks WHERE run = ? AND bundle = ? ORDER BY number DESC LIMIT 1"
    )
    row = connection.execute(newest, (run, number)).fetchone()
    if row is None:
        return None
    chunk = _chunk(row, specs)
    return chunk, _verified(chunk, specs)


def chunks_after(
    connection: sqlite3.Connection, run: str, number: int, specs: tuple[Spec, ...], step: int
) -> list[tuple[Chunk, Table]]:
    """Return the chunks of a group with steps after ``step``, and their tables ``[1 + C, n]``.

    Raises:
        StoreError: one is damaged.
    """
    later = f"SELECT {_FIELDS} FROM chunks WHERE run = ? AND bundle = ? AND last_step > ?"
    chunks = [_chunk(row, specs) for row in connection.execute(later, (run, number, step))]
    return [(chunk, _verified(chunk, specs)) for chunk in chunks]


_FIELDS = "run, bundle, number, first_step, last_step, rows, sealed, checksum, data"


def _table(rows: Iterable[tuple[Any, ...]], specs: tuple[Spec, ...]) -> Table:
    """Return the table ``[1 + C, n]`` of a group from the rows of its chunks, in order."""
    tables: list[Table] = []
    for index, row in enumerate(rows):
        chunk = _chunk(row, specs)
        tables.append(_verified(chunk, specs))
        if chunk.number != index:
            raise StoreError(
                f"Run {chunk.run}: steps before {chunk.first_step:,} of {_listed(specs)} are "
                f"missing from the stored file; {_ADVICE}"
            )
    return np.concatenate(tables, axis=1)


def _chunk(row: tuple[Any, ...], specs: tuple[Spec, ...]) -> Chunk:
    chunk = from_row(row)
    if chunk is None:
        raise StoreError(
            f"Run {row[0]}: some steps of {_listed(specs)} are damaged in the stored file; "
            f"{_ADVICE}"
        )
    return chunk


def _verified(chunk: Chunk, specs: tuple[Spec, ...]) -> Table:
    table = decode(chunk, width(specs))
    if table is None:
        steps = f"steps {chunk.first_step:,} to {chunk.last_step:,}"
        raise StoreError(
            f"Run {chunk.run}: {steps} of {_listed(specs)} are damaged in the stored file; "
            f"{_ADVICE}"
        )
    return table


_ADVICE = "restore it from a backup, or delete the run and start it again."


def _listed(specs: tuple[Spec, ...]) -> str:
    return ", ".join(name for name, _ in specs)


def _joined(pieces: list[_Piece]) -> StoredSeries:
    columns = tuple(dict.fromkeys(name for names, _, _ in pieces for name in names))
    if len(pieces) == 1:
        _, steps, table = pieces[0]
        return StoredSeries(steps, table.T if columns else table[0], columns)
    steps = np.concatenate([part for _, part, _ in pieces])
    values = np.full((len(columns) or 1, len(steps)), np.nan)
    at = 0
    for names, part, table in pieces:
        rows = [columns.index(name) for name in names] if columns else [0]
        values[rows, at : at + len(part)] = table
        at += len(part)
    if np.any(np.diff(steps) < 0):
        # Groups of earlier versions could take a series back that had left them.
        order = np.argsort(steps, kind="stable")
        steps, values = steps[order], values[:, order]
    return StoredSeries(steps, values.T if columns else values[0], columns)
