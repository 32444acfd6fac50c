"""Run cursors: the state of each run for its writer, read from the store when it is resumed.

A resumed run starts from a snapshot, while rows of later steps may be stored. The session produces
those rows again, and they are skipped, as they hold the same numbers. Only when a field is changed
at an earlier step does the run take another course; then the later rows are removed.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from optlab.core.lazy import numpy as np
from optlab.store import series, snapshots
from optlab.store.chunks import Chunk, Table, encode, steps_of
from optlab.store.records import RunStatus, SnapshotRecord
from optlab.store.series_groups import OpenChunk, Spec, column_of
from optlab.training.events import SECONDS

WRITE_CHUNK = (
    "INSERT INTO chunks (run, bundle, number, first_step, last_step, rows, sealed, checksum, data) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET last_step = excluded.last_step, rows = excluded.rows, "
    "sealed = excluded.sealed, "
    "checksum = excluded.checksum, data = excluded.data"
)


def chunk_values(chunk: Chunk) -> tuple[object, ...]:
    """Return the values for :data:`WRITE_CHUNK`."""
    return (
        chunk.run,
        chunk.group,
        chunk.number,
        chunk.first_step,
        chunk.last_step,
        chunk.rows,
        chunk.sealed,
        chunk.checksum,
        chunk.data,
    )


@dataclass
class RunCursor:
    """One run that is being written.

    Attributes:
        id: of the run.
        status, steps, seconds: values to store.
        ended: whether nothing more is recorded.
        dirty: whether status, steps or seconds have changed.
        last: series → its last step that was stored when the session began.
        stored: group of the run → its series.
        open: group that can be continued → number of its open chunk, and the chunk's rows, if any.
        replayed: messages that the session replays; it reports them as applied, but they are
            stored already.
        messages: number of stored messages.
        kept: its stored snapshots, by step.
        tails: group of the session → the open chunk for its rows.
        skip: group of the session → last step that is stored already.
        stored_seconds: value of the series of that name at its last stored step, if it has one.
        shift: seconds by which the clock of the session is behind that of the stored steps: steps
            that are repeated take another time than they took at first.
    """

    id: str
    status: RunStatus = "running"
    steps: int = 0
    seconds: float = 0.0
    ended: bool = False
    dirty: bool = False
    last: dict[str, int] = field(default_factory=dict)
    stored: dict[int, tuple[Spec, ...]] = field(default_factory=dict)
    open: dict[int, tuple[int, Table | None]] = field(default_factory=dict)
    replayed: Counter[tuple[int, str]] = field(default_factory=Counter)
    messages: int = 0
    kept: list[SnapshotRecord] = field(default_factory=list)
    tails: dict[int, OpenChunk] = field(default_factory=dict)
    skip: dict[int, int] = field(default_factory=dict)
    stored_seconds: float | None = None
    shift: float = 0.0

    def load(self, connection: sqlite3.Connection) -> None:
        """Read from the store where the run can be continued.

        Raises:
            StoreError: a chunk that would be continued is damaged.
        """
        self.stored = series.groups(connection, self.id)
        self.kept = snapshots.records(connection, self.id)
        self.last, self.open, self.tails, self.skip = {}, {}, {}, {}
        self.stored_seconds = None
        newest = self.newest()
        for number, specs in self.stored.items():
            last = series.last_chunk(connection, self.id, number, specs)
            if last is not None:
                self.last.update((name, last[0].last_step) for name, _ in specs)
                column = column_of(specs, SECONDS)
                if column and newest[SECONDS][0] == number:
                    self.stored_seconds = float(last[1][column, -1])
            if all(newest[name][0] == number for name, _ in specs):
                self.open[number] = _open_chunk(last)

    def new_rows(self, group: int, specs: tuple[Spec, ...], table: Table) -> Table:
        """Return the rows of a table ``[1 + C, n]`` that are not stored yet, on the stored clock."""
        skip, column = self.skip[group], column_of(specs, SECONDS)
        steps = steps_of(table)
        first = int(np.searchsorted(steps, skip, side="right"))
        if column and first and steps[first - 1] == skip and self.stored_seconds is not None:
            self.shift = self.stored_seconds - float(table[column, first - 1])
        table = table[:, first:]
        if column and self.shift:
            table = table.copy()
            table[column] += self.shift
        return table

    def newest(self) -> dict[str, tuple[int, Spec]]:
        """Return series → its current group, and its columns in that group."""
        return {spec[0]: (number, spec) for number, specs in self.stored.items() for spec in specs}

    def tail(self, group: int, specs: tuple[Spec, ...]) -> OpenChunk:
        """Return the open chunk for the rows of a group of the session.

        It continues the stored group of the same series, or begins a new one.
        """
        tail = self.tails.get(group)
        if tail is None:
            self.skip[group] = max(self.last.get(name, -1) for name, _ in specs)
            number = next((number for number in self.open if self.stored[number] == specs), None)
            if number is None:
                number = max(self.stored, default=-1) + 1
                self.stored[number] = specs
                tail = OpenChunk(self.id, number, specs)
            else:
                tail = OpenChunk(self.id, number, specs, *self.open.pop(number))
            self.tails[group] = tail
        return tail

    def truncate(self, connection: sqlite3.Connection, step: int) -> list[str]:
        """Remove rows and snapshots after ``step``, inside a transaction.

        All pending rows must have been committed.

        Returns:
            Files of the snapshots, which may be removed once the transaction is committed.

        Raises:
            StoreError: a chunk that has to be divided is damaged.
        """
        for number, specs in self.stored.items():
            for chunk, table in series.chunks_after(connection, self.id, number, specs, step):
                kept = int(np.searchsorted(steps_of(table), step, side="right"))
                if kept:
                    divided = encode(self.id, number, chunk.number, table[:, :kept], sealed=False)
                    connection.execute(WRITE_CHUNK, chunk_values(divided))
                else:
                    connection.execute(
                        "DELETE FROM chunks WHERE run = ? AND bundle = ? AND number = ?",
                        (self.id, number, chunk.number),
                    )
        files = [record.file for record in self.kept if record.step > step]
        connection.execute("DELETE FROM snapshots WHERE run = ? AND step > ?", (self.id, step))
        self.steps, self.dirty = step, True
        self.load(connection)
        return files


def _open_chunk(last: tuple[Chunk, Table] | None) -> tuple[int, Table | None]:
    if last is None:
        return 0, None
    chunk, table = last
    return (chunk.number + 1, None) if chunk.sealed else (chunk.number, table)


def common_groups(cursors: Sequence[RunCursor]) -> list[tuple[Spec, ...]]:
    """Return the groups of a resumed session: series share one if they do in each of its runs."""
    newest = [cursor.newest() for cursor in cursors]
    groups: dict[tuple[int | None, ...], list[Spec]] = {}
    for name in dict.fromkeys(name for known in newest for name in known):
        numbers = tuple(known[name][0] if name in known else None for known in newest)
        spec = next(known[name][1] for known in newest if name in known)
        groups.setdefault(numbers, []).append(spec)
    return [tuple(specs) for specs in groups.values()]
