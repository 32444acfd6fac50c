"""The writer: stores the events of a session.

Rows wait in memory and are committed together a few times per second, in one short transaction, so
that several sessions can share one file. Committed rows survive a kill of the process. A snapshot is
committed only together with all rows up to its step, so a run that is resumed from it has no gap.
Those that the runs of a population have at one moment are kept together, in one transaction.

A write that fails is retried (:mod:`optlab.store.persistence`). Where that does not help, recording
stops permanently, since a record with a gap would look complete. The runs are then interrupted,
however the session ends.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from optlab.core.errors import StoreError
from optlab.core.lazy import numpy as np
from optlab.store import controls, snapshots, weight_paths
from optlab.store.chunks import Table
from optlab.store.columns import Statement, changed_tables
from optlab.store.database import readable_errors, transaction
from optlab.store.locks import RunLock
from optlab.store.persistence import Persistence, Watcher
from optlab.store.records import GOING, RUNS, SNAPSHOTS, TABLES, RunStatus, now
from optlab.store.run_cursors import WRITE_CHUNK, RunCursor, chunk_values
from optlab.store.series_groups import Packed, SeriesGroups
from optlab.store.spacing import BUDGET
from optlab.training.control import Follow, Message, SetValue
from optlab.training.events import (
    ActivityChanged,
    Event,
    MessageApplied,
    RunEnded,
    SeriesBlock,
    SessionEnded,
    SessionFailed,
    SessionStarted,
    SnapshotTaken,
    WeightPath,
)
from optlab.training.snapshot import Snapshot

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMMIT_SECONDS = 0.25
"""Seconds between commits: the most that a kill of the process loses, while commits are quick."""
COMMIT_SHARE = 0.05
"""Maximum share of the time spent in commits; a population of many runs commits less often."""
CHECKPOINT_SHARE = 0.1
"""Maximum share of the time spent in checkpoints; those of a large model are less frequent."""
_MAX_PENDING = 8 << 20
"""Bytes of full chunks that force a commit: a bound on the memory of pending rows."""
_MAX_WAITING = 64 << 20
"""Bytes of snapshots that wait for those of other runs: a bound on their memory."""

# A transaction that is retried may have been committed already: a network folder can lose the
# reply. So every statement can be repeated.
_WRITE_GROUP = (
    "INSERT INTO bundles (run, number, columns) VALUES (?, ?, ?) "
    "ON CONFLICT DO UPDATE SET columns = excluded.columns, checksum = NULL"
)
_WRITE_CONTROL = (
    "INSERT INTO controls (run, number, step, message) VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET step = excluded.step, message = excluded.message, checksum = NULL"
)


class RunWriter:
    """Records one session; made by :meth:`optlab.store.store.Store.begin` and ``resume``.

    It owns a connection and the lock of its runs. It may move to another thread, but only one may
    use it at a time.

    Attributes:
        experiments: of its runs, as TOML.
        snapshots: one per run from which the session resumes, or None for a new session.
        log: the messages that the session replays from there.
        snapshot_bytes: bytes of the snapshots that its runs keep together.
    """

    def __init__(
        self,
        home: Path,
        connection: sqlite3.Connection,
        lock: RunLock,
        cursors: Sequence[RunCursor],
        experiments: Sequence[str],
        snapshots: tuple[Snapshot, ...] | None = None,
        log: tuple[tuple[int, Message], ...] = (),
        groups: SeriesGroups | None = None,
    ) -> None:
        self._home = home
        self._connection = connection
        self._lock = lock
        self._cursors = list(cursors)
        self.experiments = tuple(experiments)
        self.snapshots = snapshots
        self.log = log
        self._groups = groups or SeriesGroups()
        self.snapshot_bytes = BUDGET
        self._tracked: tuple[str, ...] = ()
        self._tracked_at_start: tuple[str, ...] = ()
        self._new_groups: list[Statement] = []
        self._pending_bytes = 0
        self._commit_at = 0.0
        self._waited_for = True
        self._checkpoint_at = 0.0
        self._checkpoint_step = -1
        self._checkpoint_cost = 0.0
        self._persist = Persistence(home)
        self._waiting: list[tuple[RunCursor, Snapshot]] = []
        self._waiting_bytes = 0
        self._path: WeightPath | None = None
        self._stored_steps = max((cursor.steps for cursor in self._cursors), default=0)
        self._problem = ""
        self._closed = False

    def set_watcher(self, watcher: Watcher) -> None:
        """Let ``watcher`` wait while the disk is full; without one, recording stops."""
        self._persist.watcher = watcher

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Ids of the runs, in the order of the rows of the session."""
        return tuple(cursor.id for cursor in self._cursors)

    @property
    def broken(self) -> bool:
        """Whether writing failed.

        Then nothing more is recorded, and after :meth:`close` the runs are interrupted.
        """
        return bool(self._problem)

    def record(self, event: Event) -> None:
        """Record one event; call it in the order of the session.

        Raises:
            StoreError: it cannot be written. This is raised once; later events are ignored.
        """
        if not self._closed:
            self._unless_broken(lambda: self._record(event))

    def interrupt(self, reason: str) -> None:
        """End the runs as interrupted, because the session was killed.

        Raises:
            StoreError: it cannot be written.
        """
        if not self._closed:
            self._unless_broken(lambda: self._interrupt(reason))

    def close(self) -> None:
        """Commit pending rows and release the runs. Safe to call twice.

        A run that has not ended is then interrupted.

        Raises:
            StoreError: the rows cannot be written; the runs are released all the same.
        """
        if self._closed:
            return
        try:
            self._unless_broken(self._commit_all)
        finally:
            self._closed = True
            if self._problem:
                self._mark_incomplete()
            self._connection.close()
            self._lock.release()

    def _interrupt(self, reason: str) -> None:
        self._keep_waiting()
        self._end_all("interrupted", reason, "")

    def _commit_all(self) -> None:
        self._keep_waiting()
        self._commit()

    def _unless_broken(self, act: Callable[[], None]) -> None:
        if self._problem:
            return
        try:
            with readable_errors(self._home):
                act()
        except StoreError as error:
            since = f" after step {self._stored_steps:,}" if self._stored_steps else ""
            self._problem = f"The run is not recorded{since}: {error}"
            raise StoreError(self._problem) from error

    def _mark_incomplete(self) -> None:
        """Store the reason why the record is incomplete."""
        change = (
            "UPDATE runs SET status = 'interrupted', reason = ?, checksum = NULL "
            "WHERE id = ? AND status IN (?, ?)"
        )
        try:
            with transaction(self._connection):
                for cursor in self._cursors:
                    self._connection.execute(change, (self._problem, cursor.id, *GOING))
                RUNS.write_checksums(self._connection, *self.run_ids)
        except sqlite3.Error:
            # Nothing can be written, this included; once the lock is released the runs count as
            # interrupted all the same.
            return

    # --- events ----------------------------------------------------------------------------------

    def _record(self, event: Event) -> None:
        if isinstance(event, SnapshotTaken):
            self._take(self._cursors[event.run], event.snapshot)
        else:
            self._keep_waiting()
            self._record_other(event)

    def _record_other(self, event: Event) -> None:
        match event:
            case SeriesBlock():
                self._add(event)
                if self._due():
                    self._commit()
            case SessionStarted():
                self._started(event)
            case MessageApplied(problem=""):
                self._applied(event)
            case ActivityChanged():
                self._set_status(event.activity)
                self._commit()
            case RunEnded():
                self._run_ended(self._cursors[event.run], event)
            case WeightPath():
                # Of several runs, one is followed; and what only one has would be missed of others.
                self._path = event if len(self._cursors) == 1 else None
            case SessionEnded():
                self._keep_path()
                self._commit()
            case SessionFailed():
                self._end_all("failed", event.message, event.detail)
            case _:
                pass

    def _due(self) -> bool:
        """Return whether rows are to be committed: the first ones at once, as somebody may wait."""
        waited_for, self._waited_for = self._waited_for, False
        return (
            waited_for or self._pending_bytes > _MAX_PENDING or time.monotonic() >= self._commit_at
        )

    def _started(self, event: SessionStarted) -> None:
        self._tracked = self._tracked_at_start = event.tracked
        self._commit(
            *(
                RUNS.update(
                    cursor.id,
                    device=event.device,
                    device_name=event.device_name,
                    tracked=event.tracked,
                    epoch_steps=event.steps_per_epoch,
                    epoch_examples=(event.steps_per_epoch - 1) * event.batch + event.last_batch,
                )
                for cursor in self._cursors
            )
        )

    def _add(self, block: SeriesBlock) -> None:
        for packed in self._groups.pack(block.series, self._tracked):
            for cursor, table in zip(self._cursors, _present(packed.table), strict=True):
                if not cursor.ended:
                    self._append(cursor, packed, table)
        for cursor in self._cursors:
            if not cursor.ended and block.step > cursor.steps:
                cursor.steps, cursor.dirty = block.step, True
                cursor.seconds = block.seconds + cursor.shift

    def _append(self, cursor: RunCursor, packed: Packed, table: Table) -> None:
        known = len(cursor.stored)
        tail = cursor.tail(packed.group, packed.specs)
        if len(cursor.stored) > known:
            columns = json.dumps(packed.specs)
            self._new_groups.append((_WRITE_GROUP, (cursor.id, tail.group, columns)))
        if packed.steps[0] <= cursor.skip[packed.group] or cursor.shift:
            table = cursor.new_rows(packed.group, packed.specs, table)
        if table.shape[1]:
            self._pending_bytes += tail.append(table)

    def _applied(self, event: MessageApplied) -> None:
        if isinstance(event.message, Follow):
            self._tracked = event.message.weights or self._tracked_at_start
        statements: list[Statement] = []
        for row, cursor in enumerate(self._cursors):
            message = controls.for_run(event.message, row)
            if cursor.ended or message is None:
                continue
            document = controls.to_json(message)
            if cursor.replayed[event.step, document]:
                cursor.replayed[event.step, document] -= 1
                continue
            if isinstance(message, SetValue) and event.step < max(cursor.last.values(), default=-1):
                self._commit()
                for file in self._persist(functools.partial(self._truncate, cursor, event.step)):
                    snapshots.discard(self._home, cursor.id, file)
                weight_paths.remove(self._home, cursor.id)
            if isinstance(message, Follow):
                statements.append(RUNS.update(cursor.id, tracked=self._tracked))
            statements.append((_WRITE_CONTROL, (cursor.id, cursor.messages, event.step, document)))
            cursor.messages += 1
        # Rows may wait: those of later steps can only be committed after this.
        self._write(statements)

    def _truncate(self, cursor: RunCursor, step: int) -> list[str]:
        with transaction(self._connection):
            return cursor.truncate(self._connection, step)

    def _set_status(self, status: RunStatus) -> None:
        for cursor in self._cursors:
            if not cursor.ended:
                cursor.status, cursor.dirty = status, True

    def _run_ended(self, cursor: RunCursor, event: RunEnded) -> None:
        cursor.status, cursor.steps, cursor.seconds, cursor.ended, cursor.dirty = (
            event.status,
            event.steps,
            event.seconds + cursor.shift,
            True,
            True,
        )
        self._commit(
            RUNS.update(
                cursor.id,
                ended=now(),
                final=event.final,
                theta_sha256=event.theta_sha256,
                reason=event.reason,
                broken=event.non_finite_tensor,
            )
        )

    def _end_all(self, status: RunStatus, reason: str, detail: str) -> None:
        """End every run that has not ended."""
        going = [cursor for cursor in self._cursors if not cursor.ended]
        self._set_status(status)
        self._keep_path()
        self._commit(
            *(RUNS.update(cursor.id, ended=now(), reason=reason, detail=detail) for cursor in going)
        )
        for cursor in going:
            cursor.ended = True

    # --- snapshots and the path ------------------------------------------------------------------

    def _keep_path(self) -> None:
        """Write the newest path of the weights, unless it is written already."""
        path, self._path = self._path, None
        if path is not None:
            run = self._cursors[0].id
            self._persist(lambda: weight_paths.write(self._home, run, path))

    def _take(self, cursor: RunCursor, snapshot: Snapshot) -> None:
        """Keep a snapshot together with those that the other runs have at the same moment."""
        at = (snapshot.step, snapshot.reason)
        if any((waiting.step, waiting.reason) != at for _, waiting in self._waiting[:1]):
            self._keep_waiting()
        if cursor.shift:
            snapshot = dataclasses.replace(snapshot, seconds=snapshot.seconds + cursor.shift)
        self._waiting.append((cursor, snapshot))
        self._waiting_bytes += snapshot.theta.nbytes + sum(
            value.nbytes for value in snapshot.state.values()
        )
        going = sum(not cursor.ended for cursor in self._cursors)
        if len(self._waiting) >= going or self._waiting_bytes > _MAX_WAITING:
            self._keep_waiting()

    def _keep_waiting(self) -> None:
        """Keep the snapshots that wait: all of one step, for one reason."""
        taken, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not taken:
            return
        step, checkpoint = taken[0][1].step, taken[0][1].reason == "checkpoint"
        began = time.monotonic()
        if checkpoint and step != self._checkpoint_step:
            # Decided once per step: the runs of a population can be resumed together only from
            # snapshots of the same step.
            if began < self._checkpoint_at:
                return
            self._checkpoint_step, self._checkpoint_cost = step, 0.0
        written = self._persist(
            lambda: snapshots.write_all(
                self._home,
                [
                    (cursor.id, snapshot, {old.file for old in cursor.kept})
                    for cursor, snapshot in taken
                ],
            )
        )
        superseded = snapshots.superseded(
            [record for cursor in self._cursors for record in cursor.kept],
            written,
            self.snapshot_bytes,
        )
        delete = "DELETE FROM snapshots WHERE run = ? AND file = ?"
        gone = {(old.run, old.file) for old in superseded}
        by_run = {record.run: record for record in written if (record.run, record.file) not in gone}
        self._commit(
            *((delete, old) for old in gone),
            *((SNAPSHOTS.replace, SNAPSHOTS.values(record)) for record in by_run.values()),
        )
        for cursor in self._cursors:
            added = [by_run[cursor.id]] if cursor.id in by_run else []
            cursor.kept = sorted(
                (one for one in (*cursor.kept, *added) if (one.run, one.file) not in gone),
                key=lambda record: record.step,
            )
        for run, file in gone:
            snapshots.discard(self._home, run, file)
        self._keep_path()
        if checkpoint:
            done = time.monotonic()
            self._checkpoint_cost += done - began
            self._checkpoint_at = done + self._checkpoint_cost / CHECKPOINT_SHARE

    # --- committing ------------------------------------------------------------------------------

    def _commit(self, *statements: Statement) -> None:
        """Write all pending rows and ``statements`` in one transaction."""
        began = time.monotonic()
        new_groups, self._new_groups = self._new_groups, []
        chunks = [
            chunk
            for cursor in self._cursors
            for tail in cursor.tails.values()
            for chunk in tail.pop_changed()
        ]
        states: list[Statement] = []
        for cursor in self._cursors:
            if cursor.dirty:
                states.append(
                    RUNS.update(
                        cursor.id,
                        status=cursor.status,
                        steps=cursor.steps,
                        seconds=cursor.seconds,
                    )
                )
                cursor.dirty = False
        self._write(
            [
                *new_groups,
                *((WRITE_CHUNK, chunk_values(chunk)) for chunk in chunks),
                *states,
                *statements,
            ]
        )
        self._pending_bytes = 0
        self._stored_steps = max((cursor.steps for cursor in self._cursors), default=0)
        done = time.monotonic()
        self._commit_at = done + max(COMMIT_SECONDS, (done - began) / COMMIT_SHARE)

    def _write(self, statements: Sequence[Statement]) -> None:
        if statements:
            self._persist(lambda: self._write_once(statements))

    def _write_once(self, statements: Sequence[Statement]) -> None:
        with transaction(self._connection):
            for statement, values in statements:
                self._connection.execute(statement, values)
            for name in changed_tables([statement for statement, _ in statements]) & TABLES.keys():
                TABLES[name].write_checksums(self._connection, *self.run_ids)


def _present(tables: NDArray[np.float64]) -> list[Table]:
    """Return each of the tables ``[R, 1 + C, n]`` without rows that have no values.

    They are those of other runs of the population: this one had ended, or was not measured at that
    step.
    """
    if len(tables) == 1:
        return [tables[0]]
    # A row without values has none in the first column; most tables have no such row.
    gaps = np.logical_or.reduce(np.isnan(tables[:, 1]), axis=1)
    return [
        np.compress(~np.isnan(table[1:]).all(axis=0), table, axis=1) if gap else table
        for table, gap in zip(tables, gaps, strict=True)
    ]
