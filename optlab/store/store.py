"""The store: all runs of one OptLab folder.

``Store.open`` reads and writes, ``Store.open_readonly`` only reads. A
:class:`~optlab.store.writer.RunWriter` records a session; it has its own connection, so that
recording never waits for a reader.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from optlab.core import paths
from optlab.core.errors import InvalidInput, StoreError
from optlab.store import checksums, database, records, rescue, snapshots
from optlab.store.locks import RunLock, is_held, remove
from optlab.store.names import is_owner, is_run_id
from optlab.store.persistence import Persistence
from optlab.store.records import CONTROLS, GOING, RUNS, RunRecord, SnapshotRecord
from optlab.store.soundness import DamagedStore
from optlab.training.snapshot import Snapshot

if TYPE_CHECKING:
    # Only named in signatures. A list of runs does not wait for what reads series and records.
    from optlab.core.identity import FileIdentity
    from optlab.experiment import Experiment
    from optlab.store.series import StoredSeries
    from optlab.store.writer import RunWriter
    from optlab.training.control import Message


class Store:
    """The runs of one folder; made by :meth:`open` or :meth:`open_readonly`.

    Close it, or use it in a ``with``. It may move from one thread to another, but only one may use
    it at a time.

    Attributes:
        home: the OptLab folder.
        readonly: whether nothing can be written.
        notice: a sentence if the database was found to be damaged when it was opened; "" otherwise.
    """

    def __init__(
        self, home: Path, connection: sqlite3.Connection, *, readonly: bool, notice: str = ""
    ) -> None:
        self.home = home
        self.readonly = readonly
        self.notice = notice
        self._connection = connection
        self._persist = Persistence(home)
        self._damaged: list[str] = []

    @classmethod
    def open(cls, folder: Path | None = None) -> Self:
        """Open for reading and writing.

        A damaged database is set aside, and replaced by one with all that can be read of it; see
        :attr:`notice`.

        Args:
            folder: the OptLab folder; by default the user's.

        Raises:
            StoreError: the folder cannot be written to, or its database is newer than this OptLab.
        """
        home = _writable(folder)
        connection, notice = rescue.connect(home)
        store = cls(home, connection, readonly=False, notice=notice)
        try:
            store.mark_interrupted()
        except DamagedStore:
            # Damaged since this process checked it.
            store.close()
            connection, notice = rescue.connect(home)
            store = cls(home, connection, readonly=False, notice=notice)
            store.mark_interrupted()
        return store

    @classmethod
    def open_readonly(cls, folder: Path | None = None) -> Self:
        """Open for reading; where there is no database yet, there are no runs.

        A database of an older OptLab, and what can be read of a damaged one, are read as they are;
        nothing is changed.

        Args:
            folder: the OptLab folder; by default the user's.

        Raises:
            StoreError: the database cannot be read, or is newer than this OptLab.
        """
        home = paths.home() if folder is None else folder
        connection, notice = rescue.connect_readonly(home)
        return cls(home, connection, readonly=True, notice=notice)

    def close(self) -> None:
        """Close the database. Safe to call twice."""
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

    # --- reading ---------------------------------------------------------------------------------

    def runs(self, newest_first: bool = True) -> list[RunRecord]:
        """Return all runs in the order of their creation.

        Those of a population are in the order of their rows. A damaged row is omitted; see :attr:`hidden`.

        Raises:
            StoreError: the database is damaged.
        """
        result, self._damaged = self._read("")
        result.sort(key=attrgetter("place"))
        result.sort(key=attrgetter("created"), reverse=newest_first)
        return result

    @property
    def hidden(self) -> str:
        """One sentence about the damaged rows that the last :meth:`runs` omitted; "" if none."""
        if not self._damaged:
            return ""
        count = len(self._damaged) - 1
        others = f" (and {count:,} more)" if count else ""
        first = self._damaged[0].removesuffix(".")
        return (
            f"{self.home / database.NAME}: {first}{others}; it is not listed, and the other runs "
            "are not affected."
        )

    def run(self, id_or_unique_prefix: str) -> RunRecord:
        """Return one run, by its id or a unique prefix of it.

        Raises:
            InvalidInput: no run or more than one matches.
            StoreError: its row is damaged.
        """
        prefix = id_or_unique_prefix
        with self._readable_errors():
            rows = self._rows(
                "SELECT id FROM runs WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id", (prefix,)
            )
        ids = [row[0] for row in rows if is_run_id(row[0])]
        if prefix in ids:
            ids = [prefix]
        if not prefix or not ids:
            raise InvalidInput(
                f"There is no run whose id begins with '{prefix}'; `optlab runs` lists them."
            )
        if len(ids) > 1:
            some = ", ".join(ids[:4]) + (", …" if len(ids) > 4 else "")
            raise InvalidInput(
                f"{len(ids)} runs have ids that begin with '{prefix}' ({some}); "
                "give more of the id."
            )
        matches, damaged = self._read("WHERE id = ?", ids[0])
        if damaged:
            raise StoreError(f"Run {ids[0]} cannot be read: {damaged[0]}")
        return matches[0]

    def population(self, run_id: str) -> list[RunRecord]:
        """Return the runs of a run's population, itself included, in the order of their rows.

        Raises:
            InvalidInput: no run or more than one matches.
            StoreError: the row of the run is damaged.
        """
        record = self.run(run_id)
        return self._read("WHERE population = ? ORDER BY place", record.population)[0]

    def series(self, run_id: str, names: Collection[str] | None = None) -> dict[str, StoredSeries]:
        """Return the series of a run by name.

        Args:
            run_id: the complete id.
            names: of the series to read; None for all.

        Raises:
            StoreError: stored data are damaged; the message names run, series and steps.
        """
        from optlab.store import series

        with self._readable_errors(), database.reading(self._connection):
            return series.read(self._connection, run_id, names)

    def snapshots(self, run_id: str) -> list[SnapshotRecord]:
        """Return the metadata of the snapshots of a run, by step."""
        with self._readable_errors():
            return snapshots.records(self._connection, run_id)

    def load_snapshot(self, record: SnapshotRecord) -> Snapshot:
        """Return the snapshot of a record.

        Raises:
            StoreError: its file is missing or damaged.
        """
        return snapshots.load(self.home, record)

    def latest_snapshot(self, run_id: str) -> Snapshot | None:
        """Return the snapshot of the highest step, or None where the run has no snapshot.

        Raises:
            StoreError: its file is missing or damaged.
        """
        stored = self.snapshots(run_id)
        return self.load_snapshot(stored[-1]) if stored else None

    def controls(self, run_id: str) -> list[tuple[int, Message]]:
        """Return the messages that were applied to a run.

        They are as they concern this run alone, each with the number of steps completed before it.

        Raises:
            StoreError: a message is damaged.
        """
        from optlab.store import controls

        with self._readable_errors():
            query = (
                f"SELECT {CONTROLS.columns}, checksum FROM controls WHERE run = ? ORDER BY number"
            )
            rows = self._connection.execute(query, (run_id,)).fetchall()
        for *values, checksum in rows:
            step = values[CONTROLS.names.index("step")]
            if not checksums.is_intact(values, checksum) or not isinstance(step, int):
                raise StoreError(
                    f"Run {run_id}: a stored control message is damaged, so the run cannot be "
                    "replayed; delete it and start it again."
                )
        return [(step, controls.from_json(document)) for _, _, step, document, _ in rows]

    # --- changing --------------------------------------------------------------------------------

    def delete(self, run_id: str) -> None:
        """Delete a run with its series and snapshots.

        Raises:
            InvalidInput: there is no such run, or it is in progress.
            StoreError: it cannot be deleted.
        """
        record = self.run(run_id)
        if record.going:
            raise InvalidInput(f"Run {record.id} is {record.status}; stop it before you delete it.")
        with self._readable_errors():
            with database.transaction(self._connection):
                self._connection.execute("DELETE FROM runs WHERE id = ?", (record.id,))
            snapshots.remove_all(self.home, record.id)

    def mark_interrupted(self) -> None:
        """Mark the runs in progress whose process has died as interrupted.

        Raises:
            StoreError: the database cannot be written.
        """
        with self._readable_errors():
            rows = self._rows("SELECT DISTINCT owner FROM runs WHERE status IN (?, ?)", GOING)
            dead = [row[0] for row in rows if is_owner(row[0]) and not is_held(self.home, row[0])]
            if dead:
                self._persist(lambda: self._mark(dead))
                for owner in dead:
                    remove(self.home, owner)

    def _mark(self, dead: Sequence[str]) -> None:
        with database.transaction(self._connection):
            for owner in dead:
                # The process may have ended its runs properly in the meantime. A damaged row stays
                # damaged.
                condition = f"owner = ? AND status IN (?, ?) AND {RUNS.intact}"
                for (run,) in self._connection.execute(
                    f"SELECT id FROM runs WHERE {condition}", (owner, *GOING)
                ).fetchall():
                    self._connection.execute(
                        *RUNS.update(run, status="interrupted", reason=_PROCESS_DIED)
                    )
                    RUNS.write_checksums(self._connection, run, all_rows=True)

    # --- recording -------------------------------------------------------------------------------

    def begin(self, experiments: Sequence[Experiment], runner: str) -> RunWriter:
        """Create the runs of a session, one per experiment.

        Args:
            experiments: those of a population.
            runner: where the session will run, ``thread`` or ``process``.

        Raises:
            InvalidInput: a file that an experiment reads cannot be read.
            StoreError: they cannot be written.
        """
        from optlab.experiment.data_files import files_of

        files = [files_of(experiment) for experiment in experiments]
        with self._readable_errors():
            return self._persist(lambda: self._begin(experiments, files, runner))

    def _begin(
        self,
        experiments: Sequence[Experiment],
        files: Sequence[Mapping[str, FileIdentity]],
        runner: str,
    ) -> RunWriter:
        from optlab.store.run_cursors import RunCursor
        from optlab.store.writer import RunWriter

        with contextlib.ExitStack() as undo:
            connection, lock = self._for_writer(undo)
            created, versions = records.now(), records.versions()
            documents = [experiment.to_toml() for experiment in experiments]
            with database.transaction(connection):
                ids = _fresh_ids(connection, len(documents))
                for row, experiment in enumerate(experiments):
                    record = RunRecord(
                        id=ids[row],
                        title=experiment.title(),
                        experiment=documents[row],
                        status="running",
                        owner=lock.name,
                        created=created,
                        runner=runner,
                        versions=versions,
                        population=ids[0],
                        place=row,
                        files={path: asdict(identity) for path, identity in files[row].items()},
                    )
                    connection.execute(RUNS.insert, RUNS.values(record))
                    RUNS.write_checksums(connection, record.id, all_rows=True)
            undo.pop_all()
        return RunWriter(self.home, connection, lock, [RunCursor(run) for run in ids], documents)

    def resume(self, run_ids: Sequence[str], runner: str | None = None) -> RunWriter:
        """Resume runs that ended early, under the same ids.

        The session needs the writer's ``snapshots`` and ``log``. Stored data are kept; a session
        that repeats the same steps produces the same numbers.

        Args:
            run_ids: one run, or several that are resumed as one population.
            runner: where the session will run; by default where it ran before.

        Raises:
            InvalidInput: there is no such run, or it cannot be resumed.
            StoreError: stored data are damaged.
        """
        runs = [self.run(run_id) for run_id in run_ids]
        if len({record.id for record in runs}) < len(runs) or not runs:
            raise InvalidInput("Give one or more different runs to resume.")
        with self._readable_errors():
            return self._persist(lambda: self._resume(runs, runner))

    def _resume(self, runs: Sequence[RunRecord], runner: str | None) -> RunWriter:
        from optlab.store import resuming

        with contextlib.ExitStack() as undo:
            connection, lock = self._for_writer(undo)
            # One transaction with the reading, so that a failure leaves the runs as they were, and
            # no two sessions resume the same run.
            with database.transaction(connection):
                for record in runs:
                    status = connection.execute(
                        "SELECT status FROM runs WHERE id = ?", (record.id,)
                    ).fetchone()[0]
                    resuming.check_resumable(record.id, status)
                    statement = RUNS.update(
                        record.id,
                        status="running",
                        owner=lock.name,
                        ended="",
                        runner=runner or record.runner,
                        versions=records.versions(),
                        final={},
                        theta_sha256="",
                        reason="",
                        broken="",
                        detail="",
                    )
                    connection.execute(*statement)
                    RUNS.write_checksums(connection, record.id, all_rows=True)
                writer = resuming.writer_for(self.home, connection, lock, runs, self.controls)
            undo.pop_all()
        return writer

    # --- private ---------------------------------------------------------------------------------

    def _for_writer(self, undo: contextlib.ExitStack) -> tuple[sqlite3.Connection, RunLock]:
        if self.readonly:
            raise StoreError(
                "The store was opened for reading only; open it with Store.open to record a run."
            )
        connection = database.connect(self.home / database.NAME)
        undo.callback(connection.close)
        lock = RunLock(self.home)
        undo.callback(lock.release)
        return connection, lock

    def _read(self, condition: str, *values: str) -> tuple[list[RunRecord], list[str]]:
        """Return the runs, and a sentence for each damaged row."""
        if not self.readonly:
            self.mark_interrupted()
        with self._readable_errors():
            rows = self._rows(f"SELECT {RUNS.columns}, checksum FROM runs {condition}", values)
        result, problems = RUNS.parse(rows)
        # A reader cannot mark dead runs, but must not show them as in progress either.
        owners = {record.owner for record in result if record.going}
        dead = {owner for owner in owners if not is_held(self.home, owner)}
        result = [
            records.interrupted(record, _PROCESS_DIED)
            if record.going and record.owner in dead
            else record
            for record in result
        ]
        return result, [f"A stored run has a damaged row: {problem}." for problem in problems]

    def _rows(self, query: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
        # The first reader of a write-ahead log creates files, too.
        return self._persist(lambda: self._rows_once(query, values))

    def _rows_once(self, query: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
        # One text that is not UTF-8 must not hide the other rows. A retry, as it takes longer.
        usual = self._connection.text_factory
        self._connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        try:
            return self._connection.execute(query, values).fetchall()
        finally:
            self._connection.text_factory = usual

    def _readable_errors(self) -> contextlib.AbstractContextManager[None]:
        return database.readable_errors(self.home / database.NAME)


_PROCESS_DIED = "its process ended before the run did"


def _fresh_ids(connection: sqlite3.Connection, count: int) -> list[str]:
    """Return new ids in ascending order."""
    ids: set[str] = set()
    while len(ids) < count:
        fresh = records.fresh_id()
        known = connection.execute("SELECT 1 FROM runs WHERE id = ?", (fresh,)).fetchone()
        if known is None:
            ids.add(fresh)
    return sorted(ids)


def _writable(folder: Path | None) -> Path:
    home = paths.home() if folder is None else folder
    try:
        Persistence(home)(lambda: home.mkdir(parents=True, exist_ok=True))
    except OSError as error:
        if folder is None:
            # Its error says how to choose another folder.
            return paths.writable_home()
        with database.readable_errors(home):
            raise error
    if folder is None:
        return paths.writable_home()
    if not os.access(home, os.W_OK):
        raise StoreError(
            f"The folder {home} is not writable; choose another, or change its permissions."
        )
    return home
