"""The store: all runs of one OptLab folder.

``Store.open`` reads and writes, ``Store.open_readonly`` only reads; a session is recorded by a
:class:`~optlab.store.writer.RunWriter`, which has a connection of its own, so that recording never
waits for someone who reads.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from optlab.core import paths
from optlab.core.errors import InvalidInput, StoreError
from optlab.experiment import Experiment
from optlab.store import controls, database, records, seals, series, snapshots
from optlab.store.locks import RunLock, is_held, remove
from optlab.store.names import is_owner, is_run_id
from optlab.store.persistence import Persistence
from optlab.store.records import GOING, RunRecord
from optlab.store.run_cursors import RunCursor, common_bundles
from optlab.store.series import StoredSeries
from optlab.store.series_groups import SeriesGroups
from optlab.store.snapshots import SnapshotRecord
from optlab.store.writer import RunWriter
from optlab.training.control import Message
from optlab.training.snapshot import Snapshot


class Store:
    """Open one with :meth:`open` or :meth:`open_readonly`, and close it (or use it in a ``with``).

    It may be handed from one thread to another, but only one may use it at a time.
    """

    def __init__(self, home: Path, connection: sqlite3.Connection, *, readonly: bool) -> None:
        self.home = home
        self.readonly = readonly
        self._connection = connection
        self._persist = Persistence(home)
        self._odd: list[str] = []

    @classmethod
    def open(cls, folder: Path | None = None) -> Self:
        """Open for reading and writing.

        Args:
            folder: the OptLab folder; by default the user's.

        Raises:
            StoreError: the folder cannot be written to, or its database is newer than this OptLab.
        """
        home = _writable(folder)
        store = cls(home, database.connect(home / database.NAME), readonly=False)
        store.mark_interrupted()
        return store

    @classmethod
    def open_readonly(cls, folder: Path | None = None) -> Self:
        """Open for reading; without a database yet, there are no runs.

        Raises:
            StoreError: the database cannot be read, or is newer than this OptLab.
        """
        home = paths.home() if folder is None else folder
        return cls(home, database.connect_readonly(home / database.NAME), readonly=True)

    def close(self) -> None:
        """Let go of the database. Safe to call twice."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- reading -------------------------------------------------------------------------------------------------------------

    def runs(self, newest_first: bool = True) -> list[RunRecord]:
        """All runs, in the order in which they were begun; those of a population in the order of
        their rows.

        A row that is damaged is left out; see :attr:`hidden`.

        Raises:
            StoreError: the database is damaged.
        """
        found, self._odd = self._read(
            f"ORDER BY {'created DESC, place' if newest_first else 'created, place'}"
        )
        return found

    @property
    def hidden(self) -> str:
        """One sentence about stored runs that the last :meth:`runs` left out because their rows are
        damaged; "" where there are none.
        """
        if not self._odd:
            return ""
        others = f" (and {len(self._odd) - 1:,} more)" if len(self._odd) > 1 else ""
        return f"{self.home / database.NAME}: {self._odd[0].removesuffix('.')}{others}; it is not listed, and the other runs are not concerned."

    def run(self, id_or_unique_prefix: str) -> RunRecord:
        """One run, by its id or the beginning of it.

        Raises:
            InvalidInput: there is none, or more than one.
        """
        asked = id_or_unique_prefix
        with self._in_words():
            ids = self._rows(
                "SELECT id FROM runs WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id", (asked,)
            )
        found = [row[0] for row in ids if is_run_id(row[0])]
        if asked in found:
            found = [asked]
        if not asked or not found:
            raise InvalidInput(
                f"There is no run whose id begins with '{asked}'; `optlab runs` lists them."
            )
        if len(found) > 1:
            some = ", ".join(found[:4]) + (", …" if len(found) > 4 else "")
            raise InvalidInput(
                f"'{asked}' is the beginning of {len(found)} runs ({some}); give more of the id."
            )
        records, odd = self._read("WHERE id = ?", found[0])
        if odd:
            raise StoreError(f"Run {found[0]} cannot be read: {odd[0]}")
        return records[0]

    def population(self, run_id: str) -> list[RunRecord]:
        """The runs that were begun together with this one, itself included, in the order of their
        rows.
        """
        record = self.run(run_id)
        return self._read("WHERE population = ? ORDER BY place", record.population)[0]

    def series(self, run_id: str, names: Collection[str] | None = None) -> dict[str, StoredSeries]:
        """The series of a run by name, or those of them that are asked for.

        Raises:
            StoreError: what is stored is damaged; the message names run, series and steps.
        """
        with self._in_words(), database.reading(self._connection):
            return series.read(self._connection, run_id, names)

    def snapshots(self, run_id: str) -> list[SnapshotRecord]:
        """The snapshots of a run, by step."""
        with self._in_words():
            return snapshots.records(self._connection, run_id)

    def load_snapshot(self, record: SnapshotRecord) -> Snapshot:
        """The snapshot itself.

        Raises:
            StoreError: its file is missing or damaged.
        """
        return snapshots.load(self.home, record)

    def latest_snapshot(self, run_id: str) -> Snapshot | None:
        """The snapshot of the highest step, or None.

        Raises:
            StoreError: its file is missing or damaged.
        """
        found = self.snapshots(run_id)
        return self.load_snapshot(found[-1]) if found else None

    def controls(self, run_id: str) -> list[tuple[int, Message]]:
        """The messages that were applied to a run, each with the number of steps that had been
        taken; as they concern this run alone.
        """
        with self._in_words():
            query = f"SELECT {seals.COLUMNS['controls']}, checksum FROM controls WHERE run = ? ORDER BY number"
            rows = self._connection.execute(query, (run_id,)).fetchall()
        for *values, seal in rows:
            if not seals.is_intact(values, seal):
                raise StoreError(
                    f"Run {run_id}: a stored control message is damaged, so it cannot be replayed; delete the run and start it again."
                )
        return [(step, controls.from_json(document)) for _, _, step, document, _ in rows]

    # --- changing ------------------------------------------------------------------------------------------------------------

    def delete(self, run_id: str) -> None:
        """Remove a run and all that belongs to it.

        Raises:
            InvalidInput: there is no such run, or it is going on.
            StoreError: it cannot be removed.
        """
        record = self.run(run_id)
        if record.going:
            raise InvalidInput(f"Run {record.id} is {record.status}; stop it before you delete it.")
        with self._in_words():
            with database.transaction(self._connection):
                self._connection.execute("DELETE FROM runs WHERE id = ?", (record.id,))
            snapshots.remove_all(self.home, record.id)

    def mark_interrupted(self) -> None:
        """Mark runs whose owner is dead.

        Raises:
            StoreError: the database cannot be written.
        """
        with self._in_words():
            going = self._rows("SELECT DISTINCT owner FROM runs WHERE status IN (?, ?)", GOING)
            dead = [row[0] for row in going if is_owner(row[0]) and not is_held(self.home, row[0])]
            if dead:
                self._persist(lambda: self._mark(dead))
                for owner in dead:
                    remove(self.home, owner)

    def _mark(self, dead: Sequence[str]) -> None:
        with database.transaction(self._connection):
            for owner in dead:
                # An owner may have ended its runs in good order since they were looked at. A
                # damaged row stays what it is, damaged.
                which = f"owner = ? AND status IN (?, ?) AND {seals.INTACT_RUN}"
                for (run,) in self._connection.execute(
                    f"SELECT id FROM runs WHERE {which}", (owner, *GOING)
                ).fetchall():
                    self._connection.execute(
                        "UPDATE runs SET status = 'interrupted', reason = ? WHERE id = ?",
                        (_DIED, run),
                    )
                    seals.seal(self._connection, "runs", run)

    # --- recording -----------------------------------------------------------------------------------------------------------

    def begin(self, experiments: Sequence[Experiment], runner: str) -> RunWriter:
        """Create the runs of a session, one an experiment.

        Args:
            runner: where the session will run, ``thread`` or ``process``.

        Raises:
            StoreError: they cannot be written.
        """
        with self._in_words():
            return self._persist(lambda: self._begun(experiments, runner))

    def _begun(self, experiments: Sequence[Experiment], runner: str) -> RunWriter:
        with contextlib.ExitStack() as undo:
            connection, lock = self._for_writer(undo)
            created, versions = records.now(), json.dumps(records.versions())
            documents = [experiment.to_toml() for experiment in experiments]
            with database.transaction(connection):
                ids: list[str] = []
                while len(ids) < len(documents):
                    fresh = records.fresh_id()
                    if (
                        fresh not in ids
                        and connection.execute(
                            "SELECT 1 FROM runs WHERE id = ?", (fresh,)
                        ).fetchone()
                        is None
                    ):
                        ids.append(fresh)
                ids.sort()
                for place, (run, experiment, document) in enumerate(
                    zip(ids, experiments, documents, strict=True)
                ):
                    connection.execute(
                        "INSERT INTO runs (id, title, experiment, status, owner, created, runner, versions, population, place) "
                        "VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?, ?)",
                        (
                            run,
                            experiment.title(),
                            document,
                            lock.name,
                            created,
                            runner,
                            versions,
                            ids[0],
                            place,
                        ),
                    )
                    seals.seal(connection, "runs", run)
            undo.pop_all()
        return RunWriter(self.home, connection, lock, [RunCursor(run) for run in ids], documents)

    def resume(self, run_ids: Sequence[str], runner: str | None = None) -> RunWriter:
        """Take over runs that ended before their time, to go on with them under the same ids.

        The writer's ``snapshots`` and ``log`` are what the session has to be given. What is stored
        already stays; a session that goes over the same steps again gives the same numbers.

        Args:
            run_ids: several go on together as one population.
            runner: where it will run; by default where it ran before.

        Raises:
            InvalidInput: there is no such run, or it cannot be resumed.
            StoreError: what is stored is damaged.
        """
        found = [self.run(run_id) for run_id in run_ids]
        if len({record.id for record in found}) < len(found) or not found:
            raise InvalidInput("Give one or more different runs to resume.")
        with self._in_words():
            return self._persist(lambda: self._taken_over(found, runner))

    def _taken_over(self, found: Sequence[RunRecord], runner: str | None) -> RunWriter:
        with contextlib.ExitStack() as undo:
            connection, lock = self._for_writer(undo)
            # In one transaction with the reading, so that a failure leaves the runs as they were,
            # and no two sessions take one.
            with database.transaction(connection):
                for record in found:
                    status = connection.execute(
                        "SELECT status FROM runs WHERE id = ?", (record.id,)
                    ).fetchone()[0]
                    _check_resumable(record.id, status)
                    connection.execute(
                        "UPDATE runs SET status = 'running', owner = ?, ended = '', runner = ?, versions = ?, final = '{}', "
                        "theta_sha256 = '', reason = '', broken = '', detail = '' WHERE id = ?",
                        (
                            lock.name,
                            runner or record.runner,
                            json.dumps(records.versions()),
                            record.id,
                        ),
                    )
                    seals.seal(connection, "runs", record.id)
                writer = self._resumed(connection, lock, found)
            undo.pop_all()
        return writer

    def _resumed(
        self, connection: sqlite3.Connection, lock: RunLock, found: Sequence[RunRecord]
    ) -> RunWriter:
        chosen = self._common_snapshots([record.id for record in found])
        step = chosen[0].step if chosen else 0
        lines: list[RunCursor] = []
        logs: list[list[tuple[int, Message]]] = []
        for record in found:
            snapshots.remove_strays(
                self.home,
                record.id,
                {snapshot.file for snapshot in snapshots.records(connection, record.id)},
            )
            everything = self.controls(record.id)
            log = controls.persistent_messages(everything, step) + [
                (at, message)
                for at, message in everything
                if at >= step and controls.replayable(message)
            ]
            logs.append(log)
            line = RunCursor(record.id, steps=record.steps, seconds=record.seconds)
            line.load(connection)
            line.replayed = Counter((at, controls.to_json(message)) for at, message in log)
            line.messages = len(everything)
            lines.append(line)
        texts = [record.experiment for record in found]
        return RunWriter(
            self.home,
            connection,
            lock,
            lines,
            texts,
            chosen,
            controls.for_population(logs),
            SeriesGroups(common_bundles(lines)),
        )

    def _common_snapshots(self, run_ids: Sequence[str]) -> tuple[Snapshot, ...] | None:
        """A snapshot of each run, of the highest step at which all have a sound one; None where
        there is none.
        """
        by_step = [{record.step: record for record in self.snapshots(run_id)} for run_id in run_ids]
        for step in sorted(set.intersection(*(set(steps) for steps in by_step)), reverse=True):
            try:
                return tuple(self.load_snapshot(steps[step]) for steps in by_step)
            except StoreError:
                # Going on from an earlier one, or from the start, gives the same numbers; it only
                # takes longer.
                continue
        return None

    # --- inside --------------------------------------------------------------------------------------------------------------

    def _for_writer(self, undo: contextlib.ExitStack) -> tuple[sqlite3.Connection, RunLock]:
        if self.readonly:
            raise StoreError(
                "The runs were opened for reading only; open them for writing to record a run."
            )
        connection = database.connect(self.home / database.NAME)
        undo.callback(connection.close)
        lock = RunLock(self.home)
        undo.callback(lock.release)
        return connection, lock

    def _read(self, which: str, *values: str) -> tuple[list[RunRecord], list[str]]:
        """Return the runs, and a sentence for each row that is not one."""
        if not self.readonly:
            self.mark_interrupted()
        with self._in_words():
            rows = self._rows(f"SELECT {records.FIELDS}, checksum FROM runs {which}", values)
        found, odd = [], []
        for row in rows:
            try:
                found.append(records.from_row(row[:-1], row[-1]))
            except StoreError as error:
                odd.append(str(error))
        # A reader cannot mark, but must not show a dead run as going either.
        alive = {
            owner: is_held(self.home, owner)
            for owner in {record.owner for record in found if record.going}
        }
        return [_as_it_is(record, alive) for record in found], odd

    def _rows(self, query: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
        # The first reader of a write-ahead log makes files, too.
        return self._persist(lambda: self._rows_once(query, values))

    def _rows_once(self, query: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
        # One text that is not UTF-8 must not hide the other rows. Asked for only then, as it takes
        # longer.
        usual = self._connection.text_factory
        self._connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        try:
            return self._connection.execute(query, values).fetchall()
        finally:
            self._connection.text_factory = usual

    def _in_words(self) -> contextlib.AbstractContextManager[None]:
        return database.in_words(self.home / database.NAME)


_DIED = "its process ended before the run did"


def _as_it_is(record: RunRecord, alive: dict[str, bool]) -> RunRecord:
    if record.going and not alive[record.owner]:
        return records.interrupted(record, _DIED)
    return record


def _writable(folder: Path | None) -> Path:
    home = paths.home() if folder is None else folder
    try:
        Persistence(home)(lambda: home.mkdir(parents=True, exist_ok=True))
    except OSError as error:
        if folder is None:
            # It refuses in words that say how to choose another folder.
            return paths.writable_home()
        with database.in_words(home):
            raise error
    if folder is None:
        return paths.writable_home()
    if not os.access(home, os.W_OK):
        raise StoreError(
            f"The folder {home} is not writable; choose another, or change its permissions."
        )
    return home


def _check_resumable(run: str, status: str) -> None:
    if status in records.RESUMABLE:
        return
    if status in GOING:
        raise InvalidInput(f"Run {run} is {status} already; it can be resumed only after its end.")
    why = (
        "it has reached its end"
        if status == "finished"
        else "its numbers have overflowed, and would again"
    )
    raise InvalidInput(
        f"Run {run} is {status}, so there is nothing to resume: {why}. Start a new run from its experiment instead."
    )
