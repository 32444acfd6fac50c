"""The writer of a study: which runs it has, how long it takes, and what it finds.

Each call is one transaction, so a kill of the process leaves a study as it was after the last call.
The runs themselves are recorded by a :class:`~optlab.store.writer.RunWriter` each.
"""

from __future__ import annotations

import dataclasses
import math
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from optlab.core.errors import StoreError
from optlab.store.columns import Statement, marks, parts
from optlab.store.database import readable_errors, transaction
from optlab.store.locks import RunLock
from optlab.store.persistence import Persistence, Watcher
from optlab.store.records import STUDIES, STUDY_RUNS, StudyRun, StudyStatus, now

PROGRESS_SECONDS = 1.0
"""Seconds between two commits of the time that a study has taken."""

# A transaction that is retried may have been committed already: a network folder can lose the
# reply. So every statement can be repeated.
_INSERT = (
    f"{STUDY_RUNS.insert} ON CONFLICT DO UPDATE SET arm = excluded.arm, role = excluded.role, "
    "seed = excluded.seed, setting = excluded.setting, number = excluded.number, checksum = NULL"
)


class StudyWriter:
    """Records one study; made by ``Store.begin_study`` and ``Store.resume_study``.

    It owns a connection and the lock of the study. It may move to another thread, but only one may
    use it at a time. Close it, also after an error; a study that has not ended is then interrupted.

    Attributes:
        id: of the study.
        seconds: that the study has taken so far, those of earlier sessions included.
        measured: as in :class:`~optlab.store.records.StudyRecord`.
    """

    def __init__(
        self,
        home: Path,
        connection: sqlite3.Connection,
        lock: RunLock,
        study_id: str,
        seconds: float = 0.0,
        measured: Mapping[str, Mapping[str, float | str]] | None = None,
    ) -> None:
        self.id = study_id
        self.seconds = seconds
        self.measured = {arm: dict(values) for arm, values in (measured or {}).items()}
        self._home = home
        self._connection = connection
        self._lock = lock
        self._persist = Persistence(home)
        self._progress_at = 0.0
        self._closed = False

    def set_watcher(self, watcher: Watcher) -> None:
        """Let ``watcher`` wait while the disk is full; without one, a full disk is an error."""
        self._persist.watcher = watcher

    def add_runs(self, runs: Sequence[StudyRun]) -> None:
        """Record runs as those of the study; a run that it has already is described anew.

        Args:
            runs: each stored already; their ``study`` is filled in.

        Raises:
            StoreError: a run is not stored, or they cannot be written.
        """
        self._write(lambda: self._add(runs))

    def drop_runs(self, run_ids: Collection[str]) -> None:
        """Take runs out of the study, as if they had never been part of it. They stay stored.

        Raises:
            StoreError: the change cannot be written.
        """
        self._write(lambda: self._drop(run_ids))

    def note_progress(self, seconds: float) -> None:
        """Store the time that the study has taken; at most once a second is anything written.

        Args:
            seconds: all sessions together.

        Raises:
            StoreError: it cannot be written.
        """
        self.seconds = seconds
        if time.monotonic() >= self._progress_at:
            self._write(lambda: self._change(STUDIES.update(self.id, seconds=seconds)))
            self._progress_at = time.monotonic() + PROGRESS_SECONDS

    def note_measured(self, arm: str, seed: int, value: float) -> None:
        """Store the value of an arm that is computed.

        Args:
            arm: its name. seed: index of the seed. value: may be infinite or NaN.

        Raises:
            StoreError: it cannot be written.
        """
        stored = float(value) if math.isfinite(value) else str(float(value))
        self.measured.setdefault(arm, {})[str(seed)] = stored
        self._write(lambda: self._change(STUDIES.update(self.id, measured=self.measured)))

    def measured_value(self, arm: str, seed: int) -> float:
        """Return a value that was stored.

        Raises:
            KeyError: there is none.
        """
        return float(self.measured[arm][str(seed)])

    def finish(
        self,
        status: StudyStatus,
        result: Mapping[str, Any],
        reason: str = "",
        detail: str = "",
    ) -> None:
        """Record the end of the study.

        Args:
            status: any but ``running``.
            result: what it found, of what JSON can hold; {} where there is no result.
            reason: why it ended.
            detail: the traceback of a failed study.

        Raises:
            ValueError: the status is ``running``.
            StoreError: it cannot be written.
        """
        if status == "running":
            raise ValueError("a study that runs has not ended")
        statement = STUDIES.update(
            self.id,
            status=status,
            ended=now(),
            seconds=self.seconds,
            result=result,
            reason=reason,
            detail=detail,
        )
        self._write(lambda: self._change(statement))

    def close(self) -> None:
        """Release the study. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._connection.close()
            self._lock.release()

    def _write(self, act: Callable[[], None]) -> None:
        if self._closed:
            raise StoreError(f"Study {self.id} is closed; resume it to record more of it.")
        with readable_errors(self._home):
            self._persist(act)

    def _change(self, *statements: Statement) -> None:
        with transaction(self._connection):
            self._execute(*statements)

    def _execute(self, *statements: Statement) -> None:
        for statement, values in statements:
            self._connection.execute(statement, values)
        STUDIES.write_checksums(self._connection, self.id)

    def _add(self, runs: Sequence[StudyRun]) -> None:
        ids = {entry.run for entry in runs}
        with transaction(self._connection):
            if missing := sorted(ids - self._found("SELECT id FROM runs WHERE id", ids)):
                raise StoreError(
                    f"Run {missing[0]} cannot be part of study {self.id}: it is not stored."
                )
            present = self._present(ids)
            for entry in runs:
                own = dataclasses.replace(entry, study=self.id)
                self._connection.execute(_INSERT, STUDY_RUNS.values(own))
            STUDY_RUNS.write_checksums(self._connection, self.id)
            self._count(len(ids) - len(present))

    def _drop(self, run_ids: Collection[str]) -> None:
        with transaction(self._connection):
            present = self._present(set(run_ids))
            for run in present:
                self._connection.execute(
                    "DELETE FROM study_runs WHERE study = ? AND run = ?", (self.id, run)
                )
            self._count(-len(present))

    def _count(self, more: int) -> None:
        counted = "UPDATE studies SET runs = runs + ?, checksum = NULL WHERE id = ?"
        self._execute((counted, (more, self.id)))

    def _present(self, ids: set[str]) -> set[str]:
        return self._found("SELECT run FROM study_runs WHERE study = ? AND run", ids, self.id)

    def _found(self, query: str, ids: set[str], *values: str) -> set[str]:
        """Return those of the ids that a query finds, which ends with the column of the ids."""
        found: set[str] = set()
        for part in parts(ids):
            rows = self._connection.execute(f"{query} IN ({marks(part)})", (*values, *part))
            found |= {row[0] for row in rows}
        return found
