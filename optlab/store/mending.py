"""Mending: what is done with a run or a study of which parts were lost when its store was damaged.

The reason in its record says what is lost. A run that can be resumed keeps its steps up to the first
that is lost, as it computes the others again; any other run keeps all that is left. A study keeps
its result, and says how many of its runs are lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from optlab.store import series, snapshots
from optlab.store.chunks import Chunk, Table, decode, encode, steps_of
from optlab.store.pages import Value
from optlab.store.records import GOING, RESUMABLE, RUNS, STUDIES, RunRecord, StudyRecord
from optlab.store.run_cursors import WRITE_CHUNK, chunk_values
from optlab.store.series_groups import Spec, width


@dataclass(frozen=True)
class Lost:
    """What is lost of a run.

    Attributes:
        chunks: group and number of those that are lost.
        groups: those that are lost with their names.
        messages: number of the control messages before the first that is lost, None if all are
            there.
        snapshots: how many rows of snapshots are lost.
        end_known: whether the last chunks are known to be there or to be lost.
    """

    chunks: set[tuple[Value, Value]]
    groups: set[Value]
    messages: int | None
    snapshots: int
    end_known: bool


def mend(connection: sqlite3.Connection, record: RunRecord, lost: Lost) -> bool:
    """Bring a run to a consistent state, inside a transaction, and return whether it lost any.

    Args:
        connection: to the new database, with all rows of the run that were saved.
        record: of the run.
        lost: what is known to be lost of it.
    """
    groups = series.groups(connection, record.id)
    chunks = {number: _chunks(connection, record.id, number) for number in groups}
    ends = {
        number: _whole_end(found, {at for group, at in lost.chunks if group == number})
        for number, found in chunks.items()
    }
    cut = [end for end in ends.values() if end is not None]
    reached = max((found[-1].last_step for found in chunks.values() if found), default=0)
    if reached < record.steps and not lost.end_known:
        cut.append(reached)
    if lost.messages is not None:
        cut.append(_step_of_message(connection, record.id, lost.messages - 1))
    if not cut and not lost.groups and not lost.snapshots:
        return False
    resumable = record.status in (*RESUMABLE, *GOING)
    changes: dict[str, object] = {"status": "interrupted"} if record.going else {}
    if cut and resumable:
        end = min(cut)
        changes |= _cut(connection, record, lost, end, chunks, groups)
        what = f"only its first {end:,} of {record.steps:,} steps were saved"
    elif cut:
        _close_gaps(connection, chunks, groups)
        what = f"parts of its series after step {min(cut):,} are lost"
    elif lost.groups:
        what = "some of its series are lost"
    else:
        what = f"{lost.snapshots} of its snapshots are lost"
    reason = _reason(record.reason, what)
    connection.execute(*RUNS.update(record.id, reason=reason, **changes))
    RUNS.write_checksums(connection, record.id)
    return True


def mend_study(connection: sqlite3.Connection, record: StudyRecord, lost: int) -> bool:
    """Bring a study to a state that is true, inside a transaction, and return whether it lost any.

    Args:
        connection: to the new database.
        record: of the study.
        lost: how many of its runs are lost, or no longer known as its own.
    """
    if not lost:
        return False
    changes: dict[str, object] = {"status": "interrupted"} if record.going else {}
    reason = _reason(record.reason, f"{lost:,} of its {record.runs:,} runs are lost")
    connection.execute(*STUDIES.update(record.id, reason=reason, **changes))
    STUDIES.write_checksums(connection, record.id)
    return True


def _reason(before: str, lost: str) -> str:
    return "; ".join(filter(None, (before, f"the store was damaged, and {lost}")))


def _chunks(connection: sqlite3.Connection, run: str, group: int) -> list[Chunk]:
    """Return the chunks of a group without their data."""
    fields = "run, bundle, number, first_step, last_step, rows, sealed, checksum, x''"
    rows = connection.execute(
        f"SELECT {fields} FROM chunks WHERE run = ? AND bundle = ? ORDER BY number", (run, group)
    )
    return [Chunk(*row) for row in rows]


def _whole_end(chunks: list[Chunk], lost: set[Value]) -> int | None:
    """Return the last step before the first lost chunk, None where none is lost."""
    for number, chunk in enumerate(chunks):
        if chunk.number != number:
            return chunks[number - 1].last_step if number else 0
    return (chunks[-1].last_step if chunks else 0) if lost else None


def _step_of_message(connection: sqlite3.Connection, run: str, number: int) -> int:
    found = connection.execute(
        "SELECT step FROM controls WHERE run = ? AND number = ?", (run, number)
    ).fetchone()
    return int(found[0]) if found else 0


def _tables(
    connection: sqlite3.Connection, chunks: Iterable[Chunk], specs: tuple[Spec, ...]
) -> Iterator[tuple[Chunk, Table]]:
    query = "SELECT data FROM chunks WHERE run = ? AND bundle = ? AND number = ?"
    for chunk in chunks:
        data = connection.execute(query, (chunk.run, chunk.group, chunk.number)).fetchone()[0]
        whole = Chunk(**{**vars(chunk), "data": data})
        table = decode(whole, width(specs))
        assert table is not None
        yield whole, table


def _cut(
    connection: sqlite3.Connection,
    record: RunRecord,
    lost: Lost,
    end: int,
    chunks: dict[int, list[Chunk]],
    groups: dict[int, tuple[Spec, ...]],
) -> dict[str, object]:
    """Remove what comes after step ``end``; the changes of the run's row."""
    for number, found in chunks.items():
        later = [chunk for chunk in found if chunk.last_step > end]
        for chunk, table in _tables(connection, later, groups[number]):
            connection.execute(
                "DELETE FROM chunks WHERE run = ? AND bundle = ? AND number = ?",
                (record.id, number, chunk.number),
            )
            kept = int((steps_of(table) <= end).sum())
            if kept:
                part = encode(record.id, number, chunk.number, table[:, :kept], sealed=False)
                connection.execute(WRITE_CHUNK, chunk_values(part))
    connection.execute("DELETE FROM snapshots WHERE run = ? AND step > ?", (record.id, end))
    if lost.messages is not None:
        connection.execute(
            "DELETE FROM controls WHERE run = ? AND number >= ?", (record.id, lost.messages)
        )
    left = snapshots.records(connection, record.id)
    seconds = left[-1].seconds if left else 0.0
    return {
        "status": "interrupted",
        "steps": end,
        "seconds": seconds,
        "ended": "",
        "final": {},
        "theta_sha256": "",
        "broken": "",
        "detail": "",
    }


def _close_gaps(
    connection: sqlite3.Connection,
    chunks: dict[int, list[Chunk]],
    groups: dict[int, tuple[Spec, ...]],
) -> None:
    """Number the chunks of each group anew, since a missing number is an error for readers."""
    for group, found in chunks.items():
        for number, (chunk, table) in enumerate(_tables(connection, found, groups[group])):
            if chunk.number != number:
                moved = encode(chunk.run, group, number, table, sealed=chunk.sealed)
                connection.execute(
                    "DELETE FROM chunks WHERE run = ? AND bundle = ? AND number = ?",
                    (chunk.run, group, chunk.number),
                )
                connection.execute(WRITE_CHUNK, chunk_values(moved))
