"""The writer: takes the events of a session and makes them last.

Rows wait in memory and are committed together a few times a second, in one short transaction, so
that several sessions can share one file. What is committed is there after a kill of the process. A
snapshot is committed only together with all rows up to its step: a run that goes on from it has no
gap.

A write that fails is repeated (:mod:`optlab.store.persistence`). Where that does not help,
recording stops for good: a gap would look like a whole record. The runs are then interrupted,
whatever becomes of the session.
"""

from __future__ import annotations

import functools
import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optlab.core.errors import StoreError
from optlab.store import controls, snapshots
from optlab.store.chunks import Table
from optlab.store.database import in_words, transaction
from optlab.store.locks import RunLock
from optlab.store.persistence import Persistence, Watcher
from optlab.store.records import GOING, RunStatus, now
from optlab.store.run_cursors import WRITE_CHUNK, RunCursor, chunk_values
from optlab.store.seals import changed_tables, seal
from optlab.store.series_groups import Packed, SeriesGroups
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
)
from optlab.training.snapshot import Snapshot

COMMIT_SECONDS = 0.25
"""Time between commits: what a kill of the process loses at most, as long as commits are quick."""
COMMIT_SHARE = 0.05
"""Share of the time that may go into commits; a population of many runs commits less often."""
CHECKPOINT_SHARE = 0.1
"""Share of the time that may go into checkpoints; those of a large model come less often."""
_MOST_WAITING = 8 << 20
"""Bytes of full chunks after which is committed in any case: bounds what waits."""

Statement = tuple[str, tuple[Any, ...]]
# A transaction that is repeated may have been committed after all: a network folder can lose the
# answer. So no statement minds to be repeated.
_WRITE_BUNDLE = "INSERT INTO bundles (run, number, columns) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET columns = excluded.columns, checksum = NULL"
_WRITE_CONTROL = (
    "INSERT INTO controls (run, number, step, message) VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET step = excluded.step, message = excluded.message, checksum = NULL"
)


class RunWriter:
    """The event sink of one session; made by :meth:`optlab.store.store.Store.begin` and ``resume``.

    It owns a connection and the lock of its runs. It may be handed to another thread, but only one
    may use it at a time.

    Attributes:
        experiments: of its runs, as TOML.
        snapshots, log: for the session that is to be begun: one snapshot a run to go on from, or
            None to start anew, and the messages to replay from there.
    """

    def __init__(
        self,
        home: Path,
        connection: sqlite3.Connection,
        lock: RunLock,
        lines: Sequence[RunCursor],
        experiments: Sequence[str],
        snapshots: tuple[Snapshot, ...] | None = None,
        log: tuple[tuple[int, Message], ...] = (),
        bundles: SeriesGroups | None = None,
    ) -> None:
        self._home = home
        self._connection = connection
        self._lock = lock
        self._lines = list(lines)
        self.experiments = tuple(experiments)
        self.snapshots = snapshots
        self.log = log
        self._bundles = bundles or SeriesGroups()
        self._tracked: tuple[str, ...] = ()
        self._tracked_at_start: tuple[str, ...] = ()
        self._first: list[Statement] = []
        self._waiting = 0
        self._commit_at = 0.0
        self._checkpoint_at = 0.0
        self._checkpoint_step = -1
        self._checkpoint_cost = 0.0
        self._persist = Persistence(home)
        self._stored_steps = max((line.steps for line in self._lines), default=0)
        self._problem = ""
        self._closed = False

    def set_watcher(self, watcher: Watcher) -> None:
        """Let ``watcher`` wait for room on a full disk; without one, recording stops there."""
        self._persist.watcher = watcher

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Ids of the runs, in the order of the session's rows."""
        return tuple(line.id for line in self._lines)

    @property
    def broken(self) -> bool:
        """Whether writing failed: nothing is recorded any more, and after :meth:`close` the runs
        are interrupted.
        """
        return bool(self._problem)

    def record(self, event: Event) -> None:
        """Take one event, in the order of the session.

        Raises:
            StoreError: it cannot be written. This is raised once; later events are ignored.
        """
        if not self._closed:
            self._unless_broken(lambda: self._take(event))

    def interrupt(self, reason: str) -> None:
        """The session was given up from outside: its runs are interrupted.

        Raises:
            StoreError: it cannot be written.
        """
        if not self._closed:
            self._unless_broken(lambda: self._end_all("interrupted", reason, ""))

    def close(self) -> None:
        """Commit what waits and let go of the runs; one that has not ended is interrupted from then
        on. Safe to call twice.

        Raises:
            StoreError: it cannot be written; the runs are let go of all the same.
        """
        if self._closed:
            return
        try:
            self._unless_broken(self._commit)
        finally:
            self._closed = True
            if self._problem:
                self._mark_incomplete()
            self._connection.close()
            self._lock.release()

    def _unless_broken(self, act: Callable[[], None]) -> None:
        if self._problem:
            return
        try:
            with in_words(self._home):
                act()
        except StoreError as error:
            since = f" after step {self._stored_steps:,}" if self._stored_steps else ""
            self._problem = f"The run is not recorded{since}: {error}"
            raise StoreError(self._problem) from error

    def _mark_incomplete(self) -> None:
        """Say in the store why the record breaks off."""
        change = (
            "UPDATE runs SET status = 'interrupted', reason = ? WHERE id = ? AND status IN (?, ?)"
        )
        try:
            with transaction(self._connection):
                for line in self._lines:
                    self._connection.execute(change, (self._problem, line.id, *GOING))
                    seal(self._connection, "runs", line.id)
        except sqlite3.Error:
            # Nothing can be written, this included; without an owner the runs count as interrupted
            # all the same.
            return

    # --- events --------------------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case SeriesBlock():
                self._add(event)
                if self._waiting > _MOST_WAITING or time.monotonic() >= self._commit_at:
                    self._commit()
            case SessionStarted():
                self._started(event)
            case MessageApplied(problem=""):
                self._applied(event)
            case ActivityChanged():
                self._set_status(event.activity)
                self._commit()
            case SnapshotTaken():
                self._keep(self._lines[event.run], event.snapshot)
            case RunEnded():
                self._run_ended(self._lines[event.run], event)
            case SessionEnded():
                self._commit()
            case SessionFailed():
                self._end_all("failed", event.message, event.detail)
            case _:
                pass

    def _started(self, event: SessionStarted) -> None:
        self._tracked = self._tracked_at_start = event.tracked
        change = "UPDATE runs SET device = ?, device_name = ?, tracked = ? WHERE id = ?"
        self._commit(
            *(
                (change, (event.device, event.device_name, json.dumps(event.tracked), line.id))
                for line in self._lines
            )
        )

    def _add(self, block: SeriesBlock) -> None:
        for packed in self._bundles.pack(block.series, self._tracked):
            for line, table in zip(self._lines, packed.table, strict=True):
                if not line.ended:
                    self._append(
                        line, packed, table if len(self._lines) == 1 else _without_ended(table)
                    )
        for line in self._lines:
            if not line.ended and block.step > line.steps:
                line.steps, line.seconds, line.dirty = block.step, block.seconds, True

    def _append(self, line: RunCursor, packed: Packed, table: Table) -> None:
        bundles = len(line.stored)
        tail = line.tail(packed.bundle, packed.specs)
        if len(line.stored) > bundles:
            columns = json.dumps(packed.specs)
            self._first.append((_WRITE_BUNDLE, (line.id, tail.bundle, columns)))
        skip = line.skip[packed.bundle]
        if packed.steps[0] <= skip:
            table = table[:, np.searchsorted(packed.steps[: table.shape[1]], skip, side="right") :]
        if table.shape[1]:
            self._waiting += tail.append(table)

    def _applied(self, event: MessageApplied) -> None:
        if isinstance(event.message, Follow):
            self._tracked = event.message.weights or self._tracked_at_start
        statements: list[Statement] = []
        for place, line in enumerate(self._lines):
            message = controls.for_run(event.message, place)
            if line.ended or message is None:
                continue
            document = controls.to_json(message)
            if line.replayed[event.step, document]:
                line.replayed[event.step, document] -= 1
                continue
            if isinstance(message, SetValue) and event.step < max(line.last.values(), default=-1):
                self._commit()
                for file in self._persist(functools.partial(self._cut, line, event.step)):
                    snapshots.discard(self._home, line.id, file)
            if isinstance(message, Follow):
                statements.append(
                    (
                        "UPDATE runs SET tracked = ? WHERE id = ?",
                        (json.dumps(self._tracked), line.id),
                    )
                )
            statements.append((_WRITE_CONTROL, (line.id, line.messages, event.step, document)))
            line.messages += 1
        # Rows may wait: those of later steps can only be committed after this.
        self._write(statements)

    def _cut(self, line: RunCursor, step: int) -> list[str]:
        with transaction(self._connection):
            return line.cut(self._connection, step)

    def _set_status(self, status: RunStatus) -> None:
        for line in self._lines:
            if not line.ended:
                line.status, line.dirty = status, True

    def _run_ended(self, line: RunCursor, event: RunEnded) -> None:
        line.status, line.steps, line.seconds, line.ended, line.dirty = (
            event.status,
            event.steps,
            event.seconds,
            True,
            True,
        )
        result = (
            now(),
            json.dumps(dict(event.final)),
            event.theta_sha256,
            event.reason,
            event.non_finite_tensor,
        )
        change = "UPDATE runs SET ended = ?, final = ?, theta_sha256 = ?, reason = ?, broken = ? WHERE id = ?"
        self._commit((change, (*result, line.id)))

    def _end_all(self, status: RunStatus, reason: str, detail: str) -> None:
        """Every run that has not ended ends like this."""
        going = [line for line in self._lines if not line.ended]
        self._set_status(status)
        change = "UPDATE runs SET ended = ?, reason = ?, detail = ? WHERE id = ?"
        self._commit(*((change, (now(), reason, detail, line.id)) for line in going))
        for line in going:
            line.ended = True

    # --- snapshots -----------------------------------------------------------------------------------------------------------

    def _keep(self, line: RunCursor, snapshot: Snapshot) -> None:
        checkpoint = snapshot.reason == "checkpoint"
        began = time.monotonic()
        if checkpoint and snapshot.step != self._checkpoint_step:
            # Decided once a step: the runs of a population can go on together only from snapshots
            # of the same step.
            if began < self._checkpoint_at:
                return
            self._checkpoint_step, self._checkpoint_cost = snapshot.step, 0.0
        before = self._persist(lambda: snapshots.records(self._connection, line.id))
        record = self._persist(
            lambda: snapshots.write(self._home, line.id, snapshot, {old.file for old in before})
        )
        replaced = [old for old in before if (old.step, old.reason) == (record.step, record.reason)]
        gone = replaced + snapshots.outdated(
            [*(old for old in before if old not in replaced), record]
        )
        forget = "DELETE FROM snapshots WHERE run = ? AND file = ?"
        self._commit(
            *((forget, (old.run, old.file)) for old in gone),
            (snapshots.INSERT, snapshots.values(record)),
        )
        for old in gone:
            snapshots.discard(self._home, line.id, old.file)
        if checkpoint:
            done = time.monotonic()
            self._checkpoint_cost += done - began
            self._checkpoint_at = done + self._checkpoint_cost / CHECKPOINT_SHARE

    # --- committing ----------------------------------------------------------------------------------------------------------

    def _commit(self, *statements: Statement) -> None:
        """Write everything that waits, and ``statements``, at once."""
        began = time.monotonic()
        first, self._first = self._first, []
        chunks = [
            chunk for line in self._lines for tail in line.tails.values() for chunk in tail.take()
        ]
        states: list[Statement] = []
        for line in self._lines:
            if line.dirty:
                state = (line.status, line.steps, line.seconds, line.id)
                states.append(
                    ("UPDATE runs SET status = ?, steps = ?, seconds = ? WHERE id = ?", state)
                )
                line.dirty = False
        self._write(
            [
                *first,
                *((WRITE_CHUNK, chunk_values(chunk)) for chunk in chunks),
                *states,
                *statements,
            ]
        )
        self._waiting = 0
        self._stored_steps = max((line.steps for line in self._lines), default=0)
        done = time.monotonic()
        self._commit_at = done + max(COMMIT_SECONDS, (done - began) / COMMIT_SHARE)

    def _write(self, statements: Sequence[Statement]) -> None:
        if statements:
            self._persist(lambda: self._write_once(statements))

    def _write_once(self, statements: Sequence[Statement]) -> None:
        with transaction(self._connection):
            for statement, values in statements:
                self._connection.execute(statement, values)
            for table in changed_tables([statement for statement, _ in statements]):
                for line in self._lines:
                    seal(self._connection, table, line.id)


def _without_ended(table: Table) -> Table:
    """Without the rows at the end that hold nothing: the run had ended while others of its
    population went on.
    """
    if not np.isnan(table[1:, -1]).all():
        return table
    some = np.flatnonzero(~np.isnan(table[1:]).all(axis=0))
    return table[:, : some[-1] + 1 if len(some) else 0]
