"""Reading series: chunks are verified, joined, and split into one array per series.

A damaged chunk is an error that names the run, the series and the steps; wrong numbers are never
returned.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optlab.core.errors import StoreError
from optlab.core.lazy import numpy as np
from optlab.store.checksums import is_intact
from optlab.store.chunks import Chunk, Table, decode, from_row, steps_of
from optlab.store.records import GROUPS
from optlab.store.series_groups import Spec, width

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
    rows = connection.execute(
        f"SELECT {GROUPS.columns}, checksum FROM bundles WHERE run = ? ORDER BY number", (run,)
    ).fetchall()
    try:
        if not all(is_intact(values, checksum) for *values, checksum in rows):
            raise ValueError("a row does not match its checksum")
        return {number: specs_of(text) for _, number, text, _ in rows}
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(
            f"Run {run}: the names of its series are damaged in the stored file; {_ADVICE}"
        ) from error


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
    pieces: dict[str, list[tuple[tuple[str, ...], NDArray[np.int64], Table]]] = {}
    for number, specs in groups(connection, run).items():
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
    return {name: _joined(parts) for name, parts in pieces.items()}


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


def _table(connection: sqlite3.Connection, run: str, number: int, specs: tuple[Spec, ...]) -> Table:
    # Memory is allocated for the data that exist, not for the counts that rows claim, a sum of
    # which could also overflow 64 bits.
    size = "SELECT coalesce(sum(length(data)), 0) FROM chunks WHERE run = ? AND bundle = ?"
    total = connection.execute(size, (run, number)).fetchone()[0] // (8 * (1 + width(specs)))
    table = np.empty((1 + width(specs), total))
    at = 0
    rows = connection.execute(
        f"SELECT {_FIELDS} FROM chunks WHERE run = ? AND bundle = ? ORDER BY number", (run, number)
    )
    for index, row in enumerate(rows):
        chunk = _chunk(row, specs)
        part = _verified(chunk, specs)
        if chunk.number != index:
            raise StoreError(
                f"Run {run}: steps before {chunk.first_step:,} of {_listed(specs)} are missing "
                f"from the stored file; {_ADVICE}"
            )
        table[:, at : at + chunk.rows] = part
        at += chunk.rows
    return table


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


def _joined(pieces: list[tuple[tuple[str, ...], NDArray[np.int64], Table]]) -> StoredSeries:
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
