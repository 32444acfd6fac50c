"""The database file: how it is opened, brought to the present version, and how its errors are told.

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
from optlab.store import seals
from optlab.store.persistence import Persistence

NAME = "optlab.sqlite"
SNAPSHOTS = "snapshots"
"""Folder beside it, in which each run has one of its own."""
APPLICATION = 0x4F70744C
"""SQLite's ``application_id`` of our files, "OptL": another program's database is not mistaken for
an old one of ours.
"""
_PATIENCE = 10.0
"""Seconds to wait for another process that is writing."""


def migrations() -> list[str]:
    """SQL scripts, the one that leads to version 1 first."""
    folder = resources.files("optlab.store") / "migrations"
    found = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql")),
        key=lambda entry: entry.name,
    )
    return [entry.read_text(encoding="utf-8") for entry in found]


def connect(path: Path, scripts: Sequence[str] | None = None) -> sqlite3.Connection:
    """A connection for reading and writing; the file is created and migrated as needed.

    The connection may be handed from one thread to another, but only one may use it at a time.

    Raises:
        StoreError: the file is of a newer version, is no OptLab database, or cannot be written.
    """
    with in_words(path):
        return Persistence(path.parent)(
            lambda: _connected(path, migrations() if scripts is None else scripts)
        )


def _connected(path: Path, scripts: Sequence[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        _distrust(connection, path)
        seals.prepare(connection)
        migrate(connection, path, scripts)
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_readonly(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Where there is no file yet, an empty database in memory
    stands in for it.

    Raises:
        StoreError: as :func:`connect`.
    """
    if not path.exists():
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        migrate(connection, path, migrations())
        return connection
    with in_words(path):
        # In a folder that may only be read, SQLite cannot make the file by which readers and
        # writers of a WAL agree; then nobody writes either.
        still = (
            not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
        )
        uri = f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if still else ''}"
        connection = sqlite3.connect(
            uri, uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            _distrust(connection, path)
            old = _checked_version(connection, path, len(migrations())) < len(migrations())
        except BaseException:
            connection.close()
            raise
    if old:
        connection.close()
        connect(path).close()
        return connect_readonly(path)
    return connection


def _distrust(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that nothing in the file is executed: a database can come from anywhere.

    Raises:
        StoreError: it holds something that acts by itself.
    """
    if path.exists() and path.stat().st_size == 0 and _has_snapshots(path.parent):
        raise StoreError(
            f"{path} is empty although snapshots of runs lie beside it, so the list of runs is lost; restore the file from a backup, or move the "
            f"folder {path.parent / SNAPSHOTS} away to begin anew."
        )
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    acting = "type IN ('trigger', 'view') OR sql LIKE 'CREATE VIRTUAL%'"
    found = connection.execute(f"SELECT type, name FROM sqlite_master WHERE {acting}").fetchall()
    if found:
        what = ", ".join(
            f"{'table' if kind == 'table' else kind} {str(name)[:40]!r}" for kind, name in found[:3]
        )
        raise StoreError(
            f"{path} is not opened, because it holds what OptLab never makes and what could act by itself ({what}); move it away or set "
            "OPTLAB_HOME to another folder."
        )


def _has_snapshots(home: Path) -> bool:
    folder = home / SNAPSHOTS
    return folder.is_dir() and any(folder.glob("*/*"))


def migrate(connection: sqlite3.Connection, path: Path, scripts: Sequence[str]) -> None:
    """Bring the database to version ``len(scripts)``.

    Raises:
        StoreError: it is of a newer version, or no OptLab database.
    """
    while _checked_version(connection, path, len(scripts)) < len(scripts):
        with transaction(connection):
            # Asked again: another process may have migrated while this one waited for the lock.
            version = _checked_version(connection, path, len(scripts))
            if version < len(scripts):
                for statement in _statements(scripts[version]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {version + 1}")


def _checked_version(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if owner != APPLICATION and not empty:
        raise StoreError(
            f"{path} was not written by OptLab; move it away or set OPTLAB_HOME to another folder."
        )
    if version > newest:
        raise StoreError(
            f"{path} was written by a newer OptLab (version {version} of the file; this one reads up to {newest}); update OptLab, or set "
            "OPTLAB_HOME to another folder."
        )
    return version


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: ``executescript`` would commit before its first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing of what is written inside."""
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
    """Everything read inside is of one moment, whatever others write meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turns errors of SQLite and of the file system into a :class:`StoreError` that says what to
    do.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {_words(str(error))}") from error
    except OSError as error:
        raise StoreError(
            f"{error.filename or path}: {_words((error.strerror or str(error)).lower())}"
        ) from error


def _words(said: str) -> str:
    if "full" in said or "no space" in said or "quota" in said:
        return "the disk is full; make room, or set OPTLAB_HOME to a folder on another disk."
    if "locked" in said or "busy" in said:
        return f"another program kept the runs locked for {_PATIENCE:g} seconds; try again when it is done."
    if (
        "readonly" in said
        or "unable to open" in said
        or "permission" in said
        or "read-only" in said
    ):
        return "the runs cannot be written there; set OPTLAB_HOME to a folder you may write to."
    if "malformed" in said or "not a database" in said:
        return "the file is damaged; move it away (or restore it from a backup) to go on with an empty one."
    return f"the runs cannot be read or written ({said})."
