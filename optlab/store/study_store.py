"""The studies of a store: which there are, the runs of each, and how one is begun and resumed."""

from __future__ import annotations

import contextlib
from operator import attrgetter

from optlab.core.errors import InvalidInput, StoreError
from optlab.store import database, records, snapshots
from optlab.store.opened_store import OpenedStore
from optlab.store.records import RUNS, STUDIES, STUDY_RUNS, StudyRecord, StudyRun
from optlab.store.study_writer import StudyWriter


class StudyStore(OpenedStore):
    """A store as far as studies are concerned; see :class:`optlab.store.store.Store`."""

    def studies(self, *, newest_first: bool = True) -> list[StudyRecord]:
        """Return all studies in the order of their creation.

        A damaged row is omitted; see :attr:`hidden`. A store of an older OptLab has none.

        Raises:
            StoreError: the database is damaged.
        """
        result, self._damaged[STUDIES.name] = self._read(STUDIES, "")
        result.sort(key=attrgetter("created", "id"), reverse=newest_first)
        return result

    def study(self, id_or_unique_prefix: str) -> StudyRecord:
        """Return one study, by its id or a unique prefix of it.

        Raises:
            InvalidInput: no study or more than one matches.
            StoreError: its row is damaged.
        """
        return self._read_one(STUDIES, id_or_unique_prefix)

    def study_runs(self, study_id: str) -> list[StudyRun]:
        """Return the runs of a study that are still stored, in their order.

        :func:`optlab.store.records.missing_runs` says whether others were deleted.

        Args:
            study_id: the complete id.

        Raises:
            StoreError: a row is damaged: without it the study is not what it was.
        """
        with self._readable_errors():
            rows = self._rows(
                f"SELECT {STUDY_RUNS.columns}, checksum FROM study_runs WHERE study = ? "
                "ORDER BY number, rowid",
                (study_id,),
            )
        result, damaged = STUDY_RUNS.parse(rows)
        if damaged:
            raise StoreError(
                f"Study {study_id}: which runs it has is damaged in the stored file ({damaged[0]}); "
                "restore it from a backup, or delete the study and start it again."
            )
        return result

    def delete_study(self, study_id: str, *, with_runs: bool) -> None:
        """Delete a study.

        Args:
            study_id: its id, or a unique prefix of it.
            with_runs: whether its runs are deleted with it; those that another study has, too, and
                those in progress stay.

        Raises:
            InvalidInput: there is no such study, or it is in progress.
            StoreError: it cannot be deleted.
        """
        record = self.study(study_id)
        if record.going:
            raise InvalidInput(f"Study {record.id} is running; stop it before you delete it.")
        with self._readable_errors():
            for run in self._persist(lambda: self._delete_study(record.id, with_runs=with_runs)):
                snapshots.remove_all(self.home, run)

    def _delete_study(self, study_id: str, *, with_runs: bool) -> list[str]:
        """Delete the rows; the runs that were deleted."""
        alone = (
            "SELECT runs.id FROM runs JOIN study_runs ON runs.id = study_runs.run "
            "WHERE study_runs.study = ?1 AND runs.status NOT IN (?2, ?3) AND NOT EXISTS "
            "(SELECT 1 FROM study_runs AS other WHERE other.run = runs.id AND other.study != ?1)"
        )
        with database.transaction(self._connection):
            runs: list[str] = []
            if with_runs:
                values = (study_id, *records.GOING)
                runs = [row[0] for row in self._connection.execute(alone, values)]
            for run in runs:
                self._connection.execute(f"DELETE FROM {RUNS.name} WHERE id = ?", (run,))
            self._connection.execute("DELETE FROM studies WHERE id = ?", (study_id,))
        return runs

    def begin_study(self, document: str, question: str, name: str = "") -> StudyWriter:
        """Create a study, and return its writer.

        Args:
            document: the study, as TOML.
            question: that it answers.
            name: of the shipped study or of the file that it comes from.

        Raises:
            StoreError: it cannot be written.
        """
        with self._readable_errors():
            return self._persist(lambda: self._begin_study(document, question, name))

    def _begin_study(self, document: str, question: str, name: str) -> StudyWriter:
        with contextlib.ExitStack() as undo:
            connection, lock = self._for_writer(undo)
            with database.transaction(connection):
                record = StudyRecord(
                    id=records.unused(connection, STUDIES.name, records.fresh_study_id),
                    question=question,
                    name=name,
                    document=document,
                    status="running",
                    owner=lock.name,
                    created=records.now(),
                    versions=records.versions(),
                )
                connection.execute(STUDIES.insert, STUDIES.values(record))
                STUDIES.write_checksums(connection, record.id)
            undo.pop_all()
        return StudyWriter(self.home, connection, lock, record.id)

    def resume_study(self, study_id: str) -> StudyWriter:
        """Resume a study that ended early, under the same id.

        Its runs stay; those that were deleted meanwhile are no longer counted.

        Args:
            study_id: its id, or a unique prefix of it.

        Raises:
            InvalidInput: there is no such study, or it cannot be resumed: it is in progress, or has
                reached its end.
            StoreError: its row is damaged, or it cannot be written.
        """
        record = self.study(study_id)
        with self._readable_errors():
            return self._persist(lambda: self._resume_study(record))

    def _resume_study(self, record: StudyRecord) -> StudyWriter:
        with contextlib.ExitStack() as undo:
            connection, lock = self._for_writer(undo)
            # One transaction with the reading, so that no two processes resume the same study.
            with database.transaction(connection):
                found = connection.execute(
                    "SELECT status, (SELECT count(*) FROM study_runs WHERE study = studies.id) "
                    "FROM studies WHERE id = ?",
                    (record.id,),
                ).fetchone()
                status, count = found or ("deleted", 0)
                if status not in records.STUDY_RESUMABLE:
                    why = " it has reached its end" if status == "finished" else ""
                    raise InvalidInput(
                        f"Study {record.id} is {status}, so there is nothing to resume"
                        f"{':' * bool(why)}{why}."
                    )
                statement = STUDIES.update(
                    record.id,
                    status="running",
                    owner=lock.name,
                    ended="",
                    reason="",
                    detail="",
                    versions=records.versions(),
                    runs=count,
                    result={},
                )
                connection.execute(*statement)
                STUDIES.write_checksums(connection, record.id)
            undo.pop_all()
        return StudyWriter(self.home, connection, lock, record.id, record.seconds, record.measured)
