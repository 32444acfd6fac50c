"""Resuming runs: which runs can be resumed, from which snapshots, and with which messages."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from optlab.core.errors import InvalidInput, StoreError
from optlab.store import controls, snapshots, weight_paths
from optlab.store.locks import RunLock
from optlab.store.records import GOING, RESUMABLE, RunRecord
from optlab.store.run_cursors import RunCursor, common_groups
from optlab.store.series_groups import SeriesGroups
from optlab.store.writer import RunWriter
from optlab.training.control import Message
from optlab.training.snapshot import Snapshot

Log = list[tuple[int, Message]]
"""Messages, each with the number of steps completed before it."""


def check_resumable(run: str, status: str) -> None:
    """Make sure that a run can be resumed.

    Raises:
        InvalidInput: it cannot.
    """
    if status in RESUMABLE:
        return
    if status in GOING:
        raise InvalidInput(f"Run {run} is {status}; it can be resumed only after it has ended.")
    why = (
        "it has reached its end"
        if status == "finished"
        else "its numbers overflowed, and would again"
    )
    raise InvalidInput(
        f"Run {run} is {status}, so there is nothing to resume: {why}. "
        "Start a new run from its experiment instead."
    )


def writer_for(
    home: Path,
    connection: sqlite3.Connection,
    lock: RunLock,
    runs: Sequence[RunRecord],
    log_of: Callable[[str], Log],
) -> RunWriter:
    """Return the writer of a resumed session, inside a transaction.

    Args:
        home: the OptLab folder.
        connection: for the writer, which owns it from now on.
        lock: of the runs.
        runs: to resume, as one population.
        log_of: run id → its stored messages.

    Raises:
        StoreError: stored data are damaged.
    """
    starts = _common_snapshots(home, connection, [record.id for record in runs])
    for record in runs:
        if record.parent and not starts:
            raise StoreError(
                f"Run {record.id} began as a fork, and no snapshot of it can be read; fork again: "
                f"optlab fork {record.parent} --at {record.at}."
            )
    step = starts[0].step if starts else 0
    cursors: list[RunCursor] = []
    logs: list[Log] = []
    for record in runs:
        snapshots.remove_strays(
            home,
            record.id,
            {
                weight_paths.FILE,
                *(snapshot.file for snapshot in snapshots.records(connection, record.id)),
            },
        )
        stored = log_of(record.id)
        log = controls.persistent_messages(stored, step) + [
            (at, message) for at, message in stored if at >= step and controls.replayable(message)
        ]
        logs.append(log)
        cursor = RunCursor(record.id, steps=record.steps, seconds=record.seconds)
        cursor.load(connection)
        cursor.replayed = Counter((at, controls.to_json(message)) for at, message in log)
        cursor.messages = len(stored)
        cursors.append(cursor)
    return RunWriter(
        home,
        connection,
        lock,
        cursors,
        [record.experiment for record in runs],
        starts,
        controls.for_population(logs),
        SeriesGroups(common_groups(cursors)),
    )


def _common_snapshots(
    home: Path, connection: sqlite3.Connection, run_ids: Sequence[str]
) -> tuple[Snapshot, ...] | None:
    """Return a snapshot of each run, all of the same step, or None where there is none.

    It is the highest step at which all runs have an intact snapshot.
    """
    by_step = [
        {record.step: record for record in snapshots.records(connection, run_id)}
        for run_id in run_ids
    ]
    for step in sorted(set.intersection(*(set(steps) for steps in by_step)), reverse=True):
        try:
            return tuple(snapshots.load(home, steps[step]) for steps in by_step)
        except StoreError:
            # Resuming from an earlier one, or from the start, gives the same numbers; it only
            # takes longer.
            continue
    return None
