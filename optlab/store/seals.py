"""Seals: a checksum in each row of metadata, so that a bit that has flipped on the disk is not
shown as true.
"""

from __future__ import annotations

import json
import re
import sqlite3
import zlib
from collections.abc import Sequence

COLUMNS = {
    "runs": "id, title, experiment, status, owner, created, ended, runner, device, device_name, versions, population, place, tracked, "
    "steps, seconds, final, theta_sha256, reason, broken, detail",
    "bundles": "run, number, columns",
    "snapshots": "run, step, reason, seconds, file, bytes, sha256, changes, memory",
    "controls": "run, number, step, message",
}
"""Table → the columns that are sealed: all but the checksum itself."""

_CHANGED = re.compile(r"(?:INSERT INTO|INSERT OR REPLACE INTO|UPDATE) (\w+)")
_WHOSE = {"runs": "id"}


def checksum(*values: object) -> int:
    """Return the CRC-32 of a row's values; it tells the text "1" from the number 1."""
    return zlib.crc32(json.dumps(values, default=str).encode())


def is_intact(values: Sequence[object], seal: object) -> bool:
    """Return whether a row's values are those that were sealed; a row from before there were seals
    counts as intact.
    """
    return seal is None or seal == checksum(*values)


def prepare(connection: sqlite3.Connection) -> None:
    """Make :func:`checksum` known to the connection, for :data:`INTACT_RUN` and :func:`seal`."""
    connection.create_function("optlab_checksum", -1, checksum, deterministic=True)


INTACT_RUN = f"(checksum IS NULL OR checksum = optlab_checksum({COLUMNS['runs']}))"
"""The condition that a row of ``runs`` is intact."""


def changed_tables(statements: Sequence[str]) -> set[str]:
    """Return the tables with seals in which the statements insert or update rows."""
    found = {match.group(1) for statement in statements if (match := _CHANGED.match(statement))}
    return found & COLUMNS.keys()


def seal(connection: sqlite3.Connection, table: str, run: str) -> None:
    """Seal a run's rows in ``table`` after a change, in the same transaction.

    Of other tables than ``runs``, rows that have a seal keep it.
    """
    fresh = "" if table == "runs" else " AND checksum IS NULL"
    connection.execute(
        f"UPDATE {table} SET checksum = optlab_checksum({COLUMNS[table]}) WHERE {_WHOSE.get(table, 'run')} = ?{fresh}",
        (run,),
    )
