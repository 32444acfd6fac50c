"""Lines: what a writer knows of each run that it writes, taken from the store where the run goes
on.

A run that goes on starts from a snapshot, while rows of later steps may be stored. The session
gives those rows once more, and they are skipped, as they are the same numbers. Only when a field is
changed at a step below them does the run leave its old course; then the rows above are cut off.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from optlab.store import series, snapshots
from optlab.store.chunks import Chunk, Table, encode, steps_of
from optlab.store.records import RunStatus
from optlab.store.series_groups import OpenChunk, Spec

WRITE_CHUNK = (
    "INSERT INTO chunks (run, bundle, number, first_step, last_step, rows, sealed, checksum, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET last_step = excluded.last_step, rows = excluded.rows, sealed = excluded.sealed, "
    "checksum = excluded.checksum, data = excluded.data"
)


def chunk_values(chunk: Chunk) -> tuple[object, ...]:
    """The values for :data:`WRITE_CHUNK`."""
    place = (chunk.run, chunk.bundle, chunk.number)
    return (
        *place,
        chunk.first_step,
        chunk.last_step,
        chunk.rows,
        chunk.sealed,
        chunk.checksum,
        chunk.data,
    )


@dataclass
class RunCursor:
    """One run as it is being written.

    Attributes:
        id: the run's. status, steps, seconds: as they are to be stored. ended: nothing more is
            recorded. dirty: the three have changed.
        last: series → its last step that was stored when the session began.
        stored: the bundles of the run, number → series.
        open: of the bundles that can be written on, the number of the open chunk and its rows, if
            any.
        replayed: messages that the session is given to replay; they come back as applied but are
            stored already.
        messages: how many are stored.
        tails: the session's bundle → where its rows go. skip: the session's bundle → last step that
            is stored already.
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
    tails: dict[int, OpenChunk] = field(default_factory=dict)
    skip: dict[int, int] = field(default_factory=dict)

    def load(self, connection: sqlite3.Connection) -> None:
        """Learn from the store what is there, to go on behind it.

        Raises:
            StoreError: a chunk that would be written on is damaged.
        """
        self.stored = series.bundles(connection, self.id)
        self.last, self.open, self.tails, self.skip = {}, {}, {}, {}
        newest = self.newest()
        for number, specs in self.stored.items():
            found = series.last_chunk(connection, self.id, number, specs)
            if found is not None:
                self.last.update((name, found[0].last_step) for name, _ in specs)
            if all(newest[name][0] == number for name, _ in specs):
                self.open[number] = _open_chunk(found)

    def newest(self) -> dict[str, tuple[int, Spec]]:
        """Series → the bundle that it belongs to now, and its columns there."""
        return {spec[0]: (number, spec) for number, specs in self.stored.items() for spec in specs}

    def tail(self, bundle: int, specs: tuple[Spec, ...]) -> OpenChunk:
        """Where the rows of the session's ``bundle`` go: on behind what is stored of the same
        series, or into a bundle of its own.
        """
        tail = self.tails.get(bundle)
        if tail is None:
            self.skip[bundle] = max(self.last.get(name, -1) for name, _ in specs)
            number = next((number for number in self.open if self.stored[number] == specs), None)
            if number is None:
                number = max(self.stored, default=-1) + 1
                self.stored[number] = specs
                tail = OpenChunk(self.id, number, specs)
            else:
                tail = OpenChunk(self.id, number, specs, *self.open.pop(number))
            self.tails[bundle] = tail
        return tail

    def cut(self, connection: sqlite3.Connection, step: int) -> list[str]:
        """Remove rows and snapshots after ``step``, all that is waiting having been committed;
        inside of a transaction.

        Returns:
            files of the snapshots, which may be removed once the transaction is committed.

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
        files = [
            record.file for record in snapshots.records(connection, self.id) if record.step > step
        ]
        connection.execute("DELETE FROM snapshots WHERE run = ? AND step > ?", (self.id, step))
        self.steps, self.dirty = step, True
        self.load(connection)
        return files


def _open_chunk(last: tuple[Chunk, Table] | None) -> tuple[int, Table | None]:
    if last is None:
        return 0, None
    chunk, table = last
    return (chunk.number + 1, None) if chunk.sealed else (chunk.number, table)


def common_bundles(lines: Sequence[RunCursor]) -> list[tuple[Spec, ...]]:
    """How a session that goes on divides its series: together are those that are together in every
    one of its runs.
    """
    newest = [line.newest() for line in lines]
    together: dict[tuple[int | None, ...], list[Spec]] = {}
    for name in dict.fromkeys(name for known in newest for name in known):
        places = tuple(known[name][0] if name in known else None for known in newest)
        spec = next(known[name][1] for known in newest if name in known)
        together.setdefault(places, []).append(spec)
    return [tuple(specs) for specs in together.values()]
