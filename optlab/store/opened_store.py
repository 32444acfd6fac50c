"""An opened store: its connection, how rows with an owner are read, and who died.

Runs and studies have owners: the process of each holds a lock as long as it lives.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from optlab.core.errors import InvalidInput, StoreError
from optlab.store import database, records
from optlab.store.columns import RecordTable
from optlab.store.locks import RunLock, is_held, remove
from optlab.store.names import is_owner, is_run_id
from optlab.store.persistence import Persistence
from optlab.store.records import GOING, RUNS, STUDIES, RunRecord, StudyRecord

Owned = TypeVar("Owned", RunRecord, StudyRecord)

_NOUNS = {RUNS.name: "run", STUDIES.name: "study"}
_LISTED_BY = {RUNS.name: "; `optlab runs` lists them", STUDIES.name: ""}


class OpenedStore:
    """What reading and recording have in common.

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
        self._damaged: dict[str, list[str]] = {}

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

    @property
    def hidden(self) -> str:
        """One sentence for the runs and one for the studies whose rows are damaged; "" if none.

        It is about the rows that the last ``runs()`` and the last ``studies()`` omitted.
        """
        sentences = []
        for table, problems in self._damaged.items():
            if problems:
                count = len(problems) - 1
                others = f" (and {count:,} more)" if count else ""
                rest = "runs" if table == RUNS.name else "studies"
                sentences.append(
                    f"{self.home / database.NAME}: {problems[0].removesuffix('.')}{others}; it is "
                    f"not listed, and the other {rest} are not affected."
                )
        return " ".join(sentences)

    def mark_interrupted(self) -> None:
        """Mark the runs and studies in progress whose process has died as interrupted.

        Raises:
            StoreError: the database cannot be written.
        """
        owners = " UNION ".join(
            f"SELECT owner FROM {table} WHERE status IN (?, ?)" for table in _NOUNS
        )
        with self._readable_errors():
            rows = self._rows(owners, (*GOING, *GOING))
            dead = [row[0] for row in rows if is_owner(row[0]) and not is_held(self.home, row[0])]
            if dead:
                self._persist(lambda: self._mark(dead))
                for owner in dead:
                    remove(self.home, owner)

    def _mark(self, dead: Sequence[str]) -> None:
        with database.transaction(self._connection):
            for owner in dead:
                _interrupt(self._connection, RUNS, owner)
                _interrupt(self._connection, STUDIES, owner)

    # --- for the methods of stores ---------------------------------------------------------------

    def _read(
        self, table: RecordTable[Owned], condition: str, *values: str
    ) -> tuple[list[Owned], list[str]]:
        """Return the records of a table with owners, and a sentence for each damaged row."""
        if not self.readonly:
            self.mark_interrupted()
        noun = _NOUNS[table.name]
        with self._readable_errors():
            rows = self._rows(
                f"SELECT {table.columns}, checksum FROM {table.name} {condition}", values
            )
        result, problems = table.parse(rows)
        # A reader cannot mark what is dead, but must not show it as in progress either.
        owners = {record.owner for record in result if record.going}
        dead = {owner for owner in owners if not is_held(self.home, owner)}
        result = [
            records.interrupted(record, _process_died(noun))
            if record.going and record.owner in dead
            else record
            for record in result
        ]
        return result, [f"A stored {noun} has a damaged row: {problem}." for problem in problems]

    def _read_one(self, table: RecordTable[Owned], id_or_unique_prefix: str) -> Owned:
        """Return one record, by its id or a unique prefix of it.

        Raises:
            InvalidInput: none or more than one matches.
            StoreError: its row is damaged.
        """
        prefix, noun = id_or_unique_prefix, _NOUNS[table.name]
        matching = f"SELECT id FROM {table.name} WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id"
        with self._readable_errors():
            rows = self._rows(matching, (prefix,))
        ids = [row[0] for row in rows if is_run_id(row[0])]
        if prefix in ids:
            ids = [prefix]
        if not prefix or not ids:
            raise InvalidInput(
                f"There is no {noun} whose id begins with '{prefix}'{_LISTED_BY[table.name]}."
            )
        if len(ids) > 1:
            some = ", ".join(ids[:4]) + (", …" if len(ids) > 4 else "")
            many = "runs" if table.name == RUNS.name else "studies"
            raise InvalidInput(
                f"{len(ids)} {many} have ids that begin with '{prefix}' ({some}); "
                "give more of the id."
            )
        matches, damaged = self._read(table, "WHERE id = ?", ids[0])
        if damaged:
            raise StoreError(f"{noun.capitalize()} {ids[0]} cannot be read: {damaged[0]}")
        return matches[0]

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

    def _for_writer(self, undo: contextlib.ExitStack) -> tuple[sqlite3.Connection, RunLock]:
        """Return a connection and a lock for a writer, which ``undo`` closes and releases."""
        if self.readonly:
            raise StoreError(
                "The store was opened for reading only; open it with Store.open to record."
            )
        connection = database.connect(self.home / database.NAME)
        undo.callback(connection.close)
        lock = RunLock(self.home)
        undo.callback(lock.release)
        return connection, lock

    def _readable_errors(self) -> contextlib.AbstractContextManager[None]:
        return database.readable_errors(self.home / database.NAME)


def _interrupt(connection: sqlite3.Connection, table: RecordTable[Any], owner: str) -> None:
    """Mark what a dead process had in progress, inside a transaction."""
    # The process may have ended it properly in the meantime. A damaged row stays damaged.
    condition = f"owner = ? AND status IN (?, ?) AND {table.intact}"
    reason = _process_died(_NOUNS[table.name])
    for (number,) in connection.execute(
        f"SELECT id FROM {table.name} WHERE {condition}", (owner, *GOING)
    ).fetchall():
        connection.execute(*table.update(number, status="interrupted", reason=reason))
        table.write_checksums(connection, number)


def _process_died(noun: str) -> str:
    return f"its process ended before the {noun} did"
