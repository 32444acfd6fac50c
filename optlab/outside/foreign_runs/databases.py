"""SQLite databases of other programs, opened for reading alone and without trust."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from optlab.core.errors import InvalidInput
from optlab.core.reading import open_regular

_MARK = b"SQLite format 3\0"
_WAIT_SECONDS = 1.0
_MAX_STEPS = 200_000_000
"""Steps of SQLite's machine that a query may take: a schema from outside may hide endless views."""


def is_database(path: Path) -> bool:
    """Return whether a file begins as an SQLite database does."""
    try:
        with open_regular(path) as file:
            return file.read(len(_MARK)) == _MARK
    except (OSError, ValueError):
        return False


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading; nothing is written, also none of its temporary files.

    Raises:
        InvalidInput: it cannot be read, here or inside the block.
    """
    # Without a log to be read, SQLite would still make files to lock it.
    log = path.with_name(path.name + "-wal")
    mode = "mode=ro" if log.is_file() and log.stat().st_size else "immutable=1"
    try:
        with closing(
            sqlite3.connect(
                f"file:{quote(str(path.absolute()))}?{mode}", uri=True, timeout=_WAIT_SECONDS
            )
        ) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA query_only = ON")
            connection.text_factory = lambda content: content.decode("utf-8", "replace")
            connection.set_progress_handler(lambda: 1, _MAX_STEPS)
            yield connection
    except (sqlite3.Error, OverflowError, UnicodeError) as error:  # UnicodeError: in its messages
        raise InvalidInput(f"{path} cannot be read: {error}; its runs are left out.") from error


def has_columns(connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> bool:
    """Return whether there is a table with these columns."""
    found = {
        row[0] for row in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    }
    return set(columns) <= found
