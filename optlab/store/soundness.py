"""Whether a database file is sound, as far as that is visible when it is opened.

SQLite notices damage only where it reads, and some kinds not even there: a page that lost rows looks
like a page with fewer rows.
"""

from __future__ import annotations

import functools
import re
import sqlite3
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

from optlab.core.errors import StoreError
from optlab.store import journal
from optlab.store.pages import MAGIC

LARGE_BYTES = 64 << 20
"""Size of a file from which on the check is limited to :data:`CHECK_SECONDS`."""
CHECK_SECONDS = 1.0
_checked: set[Path] = set()
"""Files that this process has checked; damage that comes later is met by the checksums of rows."""
_OF_ROWS = re.compile(r"\w+ value in |non-\w+ value in ")
"""What SQLite says about a value that does not fit its column: that row alone is affected."""


class DamagedStore(StoreError):
    """A database file is damaged.

    Args:
        path: of the file.
        what: is wrong with it, as a part of a sentence.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} is damaged ({what}); OptLab saves what can be read of it when it opens it next."
        )
        self.what = what


def check_file(path: Path, application: int, newest: int, *, used: bool) -> None:
    """Check the header of a file and its write-ahead log, before SQLite reads them.

    Args:
        path: of the file, which need not exist.
        application: that its header names.
        newest: version; a file that claims to be newer is not checked.
        used: whether there is something that belongs to it, so that it cannot be new.

    Raises:
        DamagedStore: it is damaged.
        OSError: it cannot be read.
    """
    log = journal.path_of(path)
    if not path.exists() or path.stat().st_size == 0:
        if used or (log.exists() and log.stat().st_size > 0):
            state = "is empty" if path.exists() else "is missing"
            raise DamagedStore(path, f"it {state} although there are runs that belong to it")
        return
    with path.open("rb") as file:
        header = file.read(100)
    version, owner = (int.from_bytes(header[at : at + 4], "big") for at in (60, 68))
    if header.startswith(MAGIC) and owner == application and version > newest:
        return
    if problem := _header_problem(header):
        raise DamagedStore(path, problem)
    if journal.is_damaged(path):
        raise DamagedStore(path, "its write-ahead log does not match its checksums")


def _header_problem(header: bytes) -> str:
    if not header.startswith(MAGIC) or len(header) < 100:
        return "it is not a database"
    sound = (
        journal.is_page_size(int.from_bytes(header[16:18], "big")),
        set(header[18:20]) <= {1, 2},
        header[20:24] == bytes((0, 64, 32, 32)),
        int.from_bytes(header[44:48], "big") <= 4,
        int.from_bytes(header[56:60], "big") <= 1,
    )
    return "" if all(sound) else "its header is not one that SQLite writes"


def check_contents(
    connection: sqlite3.Connection, path: Path, expected: Collection[tuple[str, frozenset[str]]]
) -> None:
    """Check the tables and the trees of an open file.

    Args:
        connection: to the file.
        path: of the file.
        expected: each table with the names of its columns.

    Raises:
        DamagedStore: it is damaged.
    """
    for table, columns in expected:
        present = {row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")}
        if present != columns:
            raise DamagedStore(path, f"its table {table} is not one that OptLab makes")
    resolved = path.resolve()
    if resolved in _checked:
        return
    large = path.exists() and path.stat().st_size > LARGE_BYTES
    problem = _checked_in_time(connection, [table for table, _ in expected] if large else [""])
    if problem:
        raise DamagedStore(path, problem)
    _checked.add(resolved)


def forget(path: Path) -> None:
    """Let the next opening of a file check it again."""
    _checked.discard(path.resolve())


def _checked_in_time(connection: sqlite3.Connection, tables: Sequence[str]) -> str:
    """Return what is wrong, "" if nothing was found."""
    timer = threading.Timer(CHECK_SECONDS, connection.interrupt) if len(tables) > 1 else None
    if timer is not None:
        timer.start()
    try:
        for table in tables:
            argument = f"({table})" if table else ""
            for (message,) in connection.execute(f"PRAGMA main.integrity_check{argument}"):
                if message != "ok" and not _OF_ROWS.match(message):
                    return _first_line(message)
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
    finally:
        if timer is not None:
            timer.cancel()
            timer.join()
    return ""


def _first_line(message: str) -> str:
    lines = [line for line in message.splitlines() if not line.startswith("*** in database")]
    return (lines or [message])[0][:120]


@functools.lru_cache(maxsize=16)
def tables_of(scripts: tuple[str, ...]) -> tuple[tuple[str, frozenset[str]], ...]:
    """Return the tables that migrations make, with the names of their columns."""
    reference = sqlite3.connect(":memory:")
    for script in scripts:
        reference.executescript(script)
    names = reference.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    tables = tuple(
        (name, frozenset(row[1] for row in reference.execute(f"PRAGMA table_info({name})")))
        for (name,) in names
    )
    reference.close()
    return tables
