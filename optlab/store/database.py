"""The database file: opening, migrations, and errors as sentences.

One file in ``migrations/`` a version; ``user_version`` says which have been applied. Every
migration is one transaction, so a kill leaves the file at a version, never between two.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from optlab.core.errors import StoreError
from optlab.store import checksums, connections, soundness
from optlab.store.persistence import Persistence

NAME = "optlab.sqlite"
SNAPSHOT_FOLDER = "snapshots"
"""Folder beside it, with a folder for each run."""
APPLICATION = 0x4F70744C
"""SQLite's ``application_id`` of our files, "OptL", which distinguishes them from the databases of
other programs.
"""
_LOCK_SECONDS = 10.0
"""Seconds to wait for another process that is writing."""
_OPTIONS = {"timeout": _LOCK_SECONDS, "isolation_level": None, "check_same_thread": False}
_CHECKSUM = "checksum"
_CHUNKS = "chunks"
"""The table whose checksums cover its data rather than its columns."""


def migrations() -> list[str]:
    """Return the SQL scripts; the first leads to version 1."""
    folder = resources.files("optlab.store") / "migrations"
    files = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql")),
        key=lambda entry: entry.name,
    )
    return [entry.read_text(encoding="utf-8") for entry in files]


def connect(path: Path, scripts: Sequence[str] | None = None) -> sqlite3.Connection:
    """Return a connection for reading and writing; the file is created and migrated as needed.

    The connection may move from one thread to another, but only one may use it at a time.

    Raises:
        DamagedStore: the file is damaged.
        StoreError: it is of a newer version, is no OptLab database, or cannot be written.
    """
    with readable_errors(path):
        return Persistence(path.parent)(
            lambda: _connected(path, migrations() if scripts is None else scripts)
        )


def _connected(path: Path, scripts: Sequence[str]) -> sqlite3.Connection:
    connection = connections.connect(path, path, lambda: _check_file(path, scripts), **_OPTIONS)
    try:
        _refuse_active_schema(connection, path)
        checksums.register(connection)
        _check_contents(connection, path, scripts)
        migrate(connection, path, scripts)
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _check_file(path: Path, scripts: Sequence[str]) -> None:
    soundness.check_file(path, APPLICATION, len(scripts), used=_has_snapshots(path.parent))


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write.

    A file of an older version is read as it is, and not migrated. Where there is no file yet, an
    empty database in memory stands in for it.

    Raises:
        StoreError: as :func:`connect`.
    """
    scripts = migrations()
    if not path.exists():
        with readable_errors(path):
            _check_file(path, scripts)
        return empty(path)
    with readable_errors(path):
        # In a folder that is read-only, SQLite cannot create the file through which readers and
        # writers of a WAL coordinate; then nobody writes either.
        immutable = (
            not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
        )
        uri = f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
        connection = connections.connect(
            path, uri, lambda: _check_file(path, scripts), uri=True, **_OPTIONS
        )
        try:
            _refuse_active_schema(connection, path)
            _check_contents(connection, path, scripts)
            if _checked_version(connection, path, len(scripts)) < len(scripts):
                _add_missing_columns(connection, path)
            connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
    return connection


def empty(path: Path) -> sqlite3.Connection:
    """Return an empty database in memory.

    Args:
        path: that it stands for, for messages.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    checksums.register(connection)
    migrate(connection, path, migrations())
    return connection


def _add_missing_columns(connection: sqlite3.Connection, path: Path) -> None:
    """Let queries for the current version read an older file.

    Views that exist only within the connection give each missing column its default.

    A checksum covers the columns that the file has, so it is verified in the view: a damaged row
    gets one that cannot match.
    """
    checksums.register(connection)
    newest = empty(path)
    for (table,) in newest.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
        present = _columns(connection, table)
        wanted = _columns(newest, table)
        if present.keys() >= wanted.keys():
            continue
        special = _CHECKSUM if table != _CHUNKS else ""
        shown = [
            name if name in present else f"{default or 'NULL'} AS {name}"
            for name, default in wanted.items()
            if name != special
        ]
        if special in present:
            intact = checksums.matching(name for name in present if name != _CHECKSUM)
            shown.append(f"CASE WHEN {intact} THEN NULL ELSE -1 END AS {_CHECKSUM}")
        elif special in wanted:
            shown.append(f"NULL AS {_CHECKSUM}")
        source = f"FROM main.{table}" if present else "WHERE 0"
        row = "rowid AS rowid" if present else "0 AS rowid"
        connection.execute(f"CREATE TEMP VIEW {table} AS SELECT {row}, {', '.join(shown)} {source}")
    newest.close()


def _columns(connection: sqlite3.Connection, table: str) -> dict[str, str | None]:
    """Return the name and the SQL default of each column of a table, in order."""
    rows = connection.execute(f"PRAGMA main.table_info({table})").fetchall()
    return {row[1]: row[4] for row in rows}


def _refuse_active_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that nothing in the file is executed: a database can come from anywhere.

    Raises:
        StoreError: it holds triggers, views or virtual tables.
    """
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    acting = "type IN ('trigger', 'view') OR sql LIKE 'CREATE VIRTUAL%'"
    active = connection.execute(f"SELECT type, name FROM sqlite_master WHERE {acting}").fetchall()
    if active:
        listed = ", ".join(f"{kind} {str(name)[:40]!r}" for kind, name in active[:3])
        raise StoreError(
            f"{path} was not opened: it contains executable parts that OptLab never creates "
            f"({listed}); move it away or set OPTLAB_HOME to another folder."
        )


def _check_contents(connection: sqlite3.Connection, path: Path, scripts: Sequence[str]) -> None:
    """Check that the tables are those of the file's version, and that all pages are sound.

    Raises:
        DamagedStore: something is damaged.
        StoreError: the file is of a newer version, or no OptLab database.
    """
    with _snapshot(connection):
        version = _checked_version(connection, path, len(scripts))
        # Read to the end: while a statement is active, an interruption of the check stays in force.
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        if version == 0 and {name for (name,) in rows} & {_CHUNKS, "runs"}:
            raise soundness.DamagedStore(
                path, "its header has no version although there are tables"
            )
        soundness.check_contents(connection, path, soundness.tables_of(tuple(scripts[:version])))


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Read one state of the database inside: another process may migrate it meanwhile."""
    nested = connection.in_transaction
    if not nested:
        connection.execute("BEGIN")
    try:
        yield
    finally:
        # SQLite itself ends the transaction after some errors.
        if not nested and connection.in_transaction:
            connection.execute("ROLLBACK")


def _has_snapshots(home: Path) -> bool:
    folder = home / SNAPSHOT_FOLDER
    return folder.is_dir() and any(folder.glob("*/*"))


def migrate(connection: sqlite3.Connection, path: Path, scripts: Sequence[str]) -> None:
    """Bring the database to version ``len(scripts)``.

    Args:
        connection: on which :func:`optlab.store.checksums.register` was called.
        path: of the database, for messages.
        scripts: all migrations in order.

    Raises:
        StoreError: it is of a newer version, or no OptLab database.
    """
    while _checked_version(connection, path, len(scripts)) < len(scripts):
        with transaction(connection):
            # Checked again: another process may have migrated while this one waited for the lock.
            version = _checked_version(connection, path, len(scripts))
            if version < len(scripts):
                with _checksums_kept(connection):
                    for statement in _statements(scripts[version]):
                        connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {version + 1}")


@contextmanager
def _checksums_kept(connection: sqlite3.Connection) -> Iterator[None]:
    """Extend the checksums of intact rows to columns that are added inside.

    Damaged rows stay damaged.
    """
    before: dict[str, list[str]] = {}
    damaged: dict[str, list[int]] = {}
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        columns = list(_columns(connection, table))
        if _CHECKSUM in columns and table != _CHUNKS:
            columns.remove(_CHECKSUM)
            before[table] = columns
            damaged[table] = [
                row[0]
                for row in connection.execute(
                    f"SELECT rowid FROM {table} WHERE NOT {checksums.matching(columns)}"
                )
            ]
    yield
    for table, columns in before.items():
        after = [name for name in _columns(connection, table) if name != _CHECKSUM]
        if after != columns:
            # No row has this checksum.
            connection.executemany(
                f"UPDATE {table} SET {_CHECKSUM} = -1 WHERE rowid = ?",
                [(rowid,) for rowid in damaged[table]],
            )
            connection.execute(
                f"UPDATE {table} SET {_CHECKSUM} = optlab_checksum({', '.join(after)}) "
                f"WHERE {_CHECKSUM} >= 0"
            )


def _checked_version(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    with _snapshot(connection):
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if owner != APPLICATION and {_CHUNKS, "bundles", "runs"} <= names:
        raise soundness.DamagedStore(path, "its header does not name OptLab although its tables do")
    if owner != APPLICATION and names:
        raise StoreError(
            f"{path} was not written by OptLab; move it away or set OPTLAB_HOME to another folder."
        )
    if version > newest:
        raise StoreError(
            f"{path} was written by a newer OptLab (version {version} of the file; this one reads "
            f"up to {newest}); update OptLab, or set OPTLAB_HOME to another folder."
        )
    return version


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script; ``executescript`` would commit before its first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit everything that is written inside, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A failed COMMIT (disk full) may already have rolled back.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """Read one state of the database inside, whatever other connections write meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the file system into a :class:`StoreError`.

    Its message says what to do.

    Raises:
        DamagedStore: in place of an error that says that the file is damaged.
        StoreError: in place of any other.
    """
    try:
        yield
    except sqlite3.Error as error:
        if isinstance(error, sqlite3.DatabaseError) and any(
            text in str(error) for text in ("malformed", "not a database")
        ):
            soundness.forget(path)
            raise soundness.DamagedStore(path, str(error)) from error
        raise StoreError(f"{path}: {_sentence(str(error))}") from error
    except OSError as error:
        raise StoreError(
            f"{error.filename or path}: {_sentence((error.strerror or str(error)).lower())}"
        ) from error


def _sentence(error: str) -> str:
    if "full" in error or "no space" in error or "quota" in error:
        return "the disk is full; make room, or set OPTLAB_HOME to a folder on another disk."
    if "locked" in error or "busy" in error:
        return (
            f"another program kept the database locked for {_LOCK_SECONDS:g} seconds; "
            "try again when it has finished."
        )
    if any(text in error for text in ("readonly", "unable to open", "permission", "read-only")):
        return "runs cannot be written there; set OPTLAB_HOME to a folder you may write to."
    return f"runs cannot be read or written ({error})."
