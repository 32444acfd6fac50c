"""The store: all runs and studies of one OptLab folder.

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
from typing import TYPE_CHECKING, Self

from optlab.core import paths
from optlab.core.errors import InvalidInput, StoreError
from optlab.store import checksums, database, records, rescue, snapshots
from optlab.store.columns import marks, parts
from optlab.store.labels import LabeledRuns
from optlab.store.persistence import Persistence
from optlab.store.records import CONTROLS, RUNS, Origin, RunRecord, SnapshotRecord
from optlab.store.soundness import DamagedStore
from optlab.store.spacing import BUDGET
from optlab.training.snapshot import Snapshot

if TYPE_CHECKING:
    # Only named in signatures. A list of runs does not wait for what reads series and records.
    from optlab.core.identity import FileIdentity
    from optlab.experiment import Experiment
    from optlab.store.series import StoredSeries
    from optlab.store.writer import RunWriter
    from optlab.training.control import Message
    from optlab.training.events import WeightPath


class Store(LabeledRuns):
    """The runs and studies of one folder; made by :meth:`open` or :meth:`open_readonly`.

    Close it, or use it in a ``with``. It may move from one thread to another, but only one may use
    it at a time.

    Attributes:
        home: the OptLab folder.
        readonly: whether nothing can be written.
        notice: a sentence if the database was found to be damaged when it was opened; "" otherwise.
        snapshot_bytes: bytes of the snapshots that the runs of a session keep together, from the
            next one on that begins or is resumed.
    """

    snapshot_bytes: int = BUDGET

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

    # --- reading ---------------------------------------------------------------------------------

    def runs(self, newest_first: bool = True) -> list[RunRecord]:
        """Return all runs that are not marked as deleted, in the order of their creation.

        Those of a population are in the order of their rows. A damaged row is omitted; see :attr:`hidden`.

        Raises:
            StoreError: the database is damaged.
        """
        found, self._damaged[RUNS.name] = self._read(RUNS, "")
        result = [record for record in found if not record.deleted]
        result.sort(key=attrgetter("place"))
        result.sort(key=attrgetter("created"), reverse=newest_first)
        return result

    def run(self, id_or_unique_prefix: str) -> RunRecord:
        """Return one run, by its id or a unique prefix of it.

        Raises:
            InvalidInput: no run or more than one matches.
            StoreError: its row is damaged.
        """
        return self._read_one(RUNS, id_or_unique_prefix)

    def runs_of(self, run_ids: Collection[str]) -> dict[str, RunRecord]:
        """Return the runs with these complete ids, by id; those that are not stored are left out.

        Raises:
            StoreError: the database is damaged.
        """
        found: dict[str, RunRecord] = {}
        for part in parts(run_ids):
            records, _ = self._read(RUNS, f"WHERE id IN ({marks(part)})", *part)
            found |= {record.id: record for record in records}
        return found

    def population(self, run_id: str) -> list[RunRecord]:
        """Return the runs of a run's population, itself included, in the order of their rows.

        Raises:
            InvalidInput: no run or more than one matches.
            StoreError: the row of the run is damaged.
        """
        record = self.run(run_id)
        return self._read(RUNS, "WHERE population = ? ORDER BY place", record.population)[0]

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

    def series_of(
        self, run_ids: Collection[str], names: Collection[str] | None = None
    ) -> dict[str, dict[str, StoredSeries]]:
        """Return the series of several runs, id → name → series, in one read.

        Args:
            run_ids: the complete ids. A run that is not stored has no series.
            names: of the series to read; None for all.

        Raises:
            StoreError: stored data are damaged; the message names run, series and steps.
        """
        from optlab.store import series

        with self._readable_errors(), database.reading(self._connection):
            return series.read_many(self._connection, list(run_ids), names)

    def series_between(self, run_id: str, name: str, first: int, last: int) -> StoredSeries | None:
        """Return the values of one series of a run of steps from ``first`` to ``last``.

        None where there are none. What it costs does not depend on the length of the run.

        Raises:
            StoreError: stored data are damaged.
        """
        from optlab.store import series

        with self._readable_errors(), database.reading(self._connection):
            return series.read_between(self._connection, run_id, name, first, last)

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

    def weight_path(self, record: RunRecord) -> WeightPath | None:
        """Return the path of the weights of a run for drawing, None where none is stored."""
        from optlab.store import weight_paths

        return weight_paths.read(self.home, record.id, record.steps)

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
        """Delete a run with its series and snapshots. A study that it belongs to stays, without it.

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

    # --- recording -------------------------------------------------------------------------------

    def begin(
        self,
        experiments: Sequence[Experiment],
        runner: str,
        *,
        origin: Origin | None = None,
    ) -> RunWriter:
        """Create the runs of a session, one per experiment.

        Args:
            experiments: those of a population.
            runner: where the session will run, ``thread``, ``process`` or ``cluster``.
            origin: where they begin, unless at their own start.

        Raises:
            InvalidInput: a file that an experiment reads cannot be read.
            StoreError: they cannot be written.
        """
        from optlab.experiment.data_files import files_of

        files = [files_of(experiment) for experiment in experiments]
        with self._readable_errors():
            return self._persist(
                lambda: self._begin(experiments, files, runner, origin or Origin())
            )

    def _begin(
        self,
        experiments: Sequence[Experiment],
        files: Sequence[Mapping[str, FileIdentity]],
        runner: str,
        origin: Origin,
    ) -> RunWriter:
        from optlab.store.run_cursors import RunCursor
        from optlab.store.writer import RunWriter

        with contextlib.ExitStack() as undo:
            connection, lock = self._for_writer(undo)
            created, versions = records.now(), records.versions()
            documents = [experiment.to_toml() for experiment in experiments]
            with database.transaction(connection):
                ids = _fresh_ids(connection, len(documents))
                color = connection.execute("SELECT COALESCE(MAX(rowid), 0) FROM runs").fetchone()[0]
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
                        parent=origin.parent,
                        at=origin.at,
                        steps=origin.at,
                        color=color + row,
                    )
                    connection.execute(RUNS.insert, RUNS.values(record))
                    RUNS.write_checksums(connection, record.id)
            undo.pop_all()
        cursors = [RunCursor(run, steps=origin.at) for run in ids]
        writer = RunWriter(self.home, connection, lock, cursors, documents)
        writer.snapshot_bytes = self.snapshot_bytes
        return writer

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
                    RUNS.write_checksums(connection, record.id)
                writer = resuming.writer_for(self.home, connection, lock, runs, self.controls)
            undo.pop_all()
        writer.snapshot_bytes = self.snapshot_bytes
        return writer


def _fresh_ids(connection: sqlite3.Connection, count: int) -> list[str]:
    """Return new ids in ascending order."""
    ids: set[str] = set()
    while len(ids) < count:
        ids.add(records.unused(connection, RUNS.name, records.fresh_id))
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
