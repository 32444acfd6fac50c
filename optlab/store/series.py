"""Reading series: chunks are verified, put together, and cut into one array a series.

What was written is read, or an error is raised that names the place; there are no wrong numbers.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import StoreError
from optlab.store.chunks import Chunk, Table, decode, from_row, steps_of
from optlab.store.seals import COLUMNS, is_intact
from optlab.store.series_groups import Spec, width


@dataclass(frozen=True, eq=False)
class StoredSeries:
    """All values of one series of one run.

    Attributes:
        steps: ``[n]``, number of steps taken, ascending.
        values: ``[n]``, or ``[n, K]`` for K numbers a step; NaN where one of the K was not recorded
            at that step.
        columns: names of the K columns (of the followed weights, say); () for one number a step.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    columns: tuple[str, ...] = ()


def bundles(connection: sqlite3.Connection, run: str) -> dict[int, tuple[Spec, ...]]:
    """Number → series of each bundle of a run, the oldest first.

    Raises:
        StoreError: what is stored about them is damaged.
    """
    rows = connection.execute(
        f"SELECT {COLUMNS['bundles']}, checksum FROM bundles WHERE run = ? ORDER BY number", (run,)
    ).fetchall()
    try:
        if not all(is_intact(values, seal) for *values, seal in rows):
            raise ValueError("it does not match its checksum")
        return {
            number: tuple(_spec(*entry) for entry in json.loads(text))
            for _, number, text, _ in rows
        }
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"Run {run}: the names of its series are damaged in the stored file; {_ADVICE}"
        ) from error


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
    """The series of a run, or those of them that are asked for.

    Raises:
        StoreError: a chunk is damaged or missing.
    """
    pieces: dict[str, list[tuple[tuple[str, ...], NDArray[np.int64], Table]]] = {}
    for number, specs in bundles(connection, run).items():
        if names is not None and not any(name in names for name, _ in specs):
            continue
        table = _table(connection, run, number, specs)
        if not table.shape[1]:
            continue
        steps, at = steps_of(table), 1
        for name, columns in specs:
            size = len(columns) or 1
            if names is None or name in names:
                pieces.setdefault(name, []).append((columns, steps, table[at : at + size]))
            at += size
    return {name: _joined(found) for name, found in pieces.items()}


def last_chunk(
    connection: sqlite3.Connection, run: str, number: int, specs: tuple[Spec, ...]
) -> tuple[Chunk, Table] | None:
    """The last chunk of a bundle and its table, None where it has none.

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
    """The chunks of a bundle that hold steps after ``step``.

    Raises:
        StoreError: one is damaged.
    """
    later = f"SELECT {_FIELDS} FROM chunks WHERE run = ? AND bundle = ? AND last_step > ?"
    found = [_chunk(row, specs) for row in connection.execute(later, (run, number, step))]
    return [(chunk, _verified(chunk, specs)) for chunk in found]


_FIELDS = "run, bundle, number, first_step, last_step, rows, sealed, checksum, data"


def _table(connection: sqlite3.Connection, run: str, number: int, specs: tuple[Spec, ...]) -> Table:
    # Room is made for what is there, not for what the rows say is there. In 64 bits a sum of what
    # they say could overflow, too.
    size = "SELECT coalesce(sum(length(data)), 0) FROM chunks WHERE run = ? AND bundle = ?"
    total = connection.execute(size, (run, number)).fetchone()[0] // (8 * (1 + width(specs)))
    table = np.empty((1 + width(specs), total))
    at = 0
    found = connection.execute(
        f"SELECT {_FIELDS} FROM chunks WHERE run = ? AND bundle = ? ORDER BY number", (run, number)
    )
    for place, row in enumerate(found):
        chunk = _chunk(row, specs)
        part = _verified(chunk, specs)
        if chunk.number != place:
            raise StoreError(
                f"Run {run}: steps before {chunk.first_step:,} of {_listed(specs)} are missing from the stored file; {_ADVICE}"
            )
        table[:, at : at + chunk.rows] = part
        at += chunk.rows
    return table


def _chunk(row: tuple[Any, ...], specs: tuple[Spec, ...]) -> Chunk:
    chunk = from_row(row)
    if chunk is None:
        raise StoreError(
            f"Run {row[0]}: some steps of {_listed(specs)} are damaged in the stored file; {_ADVICE}"
        )
    return chunk


def _verified(chunk: Chunk, specs: tuple[Spec, ...]) -> Table:
    table = decode(chunk, width(specs))
    if table is None:
        where = f"Run {chunk.run}: steps {chunk.first_step:,} to {chunk.last_step:,} of {_listed(specs)}"
        raise StoreError(f"{where} are damaged in the stored file; {_ADVICE}")
    return table


_ADVICE = "restore it from a backup, or delete the run and start it again."


def _listed(specs: tuple[Spec, ...]) -> str:
    return ", ".join(name for name, _ in specs)


def _joined(pieces: list[tuple[tuple[str, ...], NDArray[np.int64], Table]]) -> StoredSeries:
    columns = tuple(dict.fromkeys(name for names, _, _ in pieces for name in names))
    steps = pieces[0][1] if len(pieces) == 1 else np.concatenate([part for _, part, _ in pieces])
    if not columns:
        return StoredSeries(
            steps,
            pieces[0][2][0]
            if len(pieces) == 1
            else np.concatenate([table[0] for _, _, table in pieces]),
        )
    if len(pieces) == 1:
        return StoredSeries(steps, pieces[0][2].T, columns)
    values = np.full((len(columns), len(steps)), np.nan)
    at = 0
    for names, part, table in pieces:
        values[[columns.index(name) for name in names], at : at + len(part)] = table
        at += len(part)
    return StoredSeries(steps, values.T, columns)
