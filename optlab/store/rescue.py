"""Rescue: a damaged database is set aside, and a new one is made of what can be read.

Nothing is deleted, and a kill at any moment loses nothing: the new database is written beside the
old one and flushed; then the old one gets a second name in a folder of its own; only then the new
one takes its place. Whoever opens the store next finishes what a kill interrupted.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from optlab.core import notices
from optlab.core.errors import StoreError
from optlab.store import checksums, database, journal, snapshots, soundness
from optlab.store.locks import FOLDER as LOCKS
from optlab.store.locks import is_held
from optlab.store.names import is_owner, is_run_id
from optlab.store.pages import Pages
from optlab.store.soundness import DamagedStore

_WAIT_SECONDS = 120.0
"""Seconds to wait for another process that saves the same store."""
_UNFINISHED, _FINISHED = ".part", ".saved"
"""Endings of the new database while it is written, and until it takes its place."""
UNLISTED = "unlisted"
"""Folder in that of a run, for snapshots whose entries are lost: without the checksum of an entry
nobody can tell whether a file is sound.
"""


def connect(home: Path) -> tuple[sqlite3.Connection, str]:
    """Return a connection for reading and writing, and a notice if the database was replaced.

    Args:
        home: the OptLab folder.

    Raises:
        StoreError: as :func:`optlab.store.database.connect`, or a run is being recorded into a
            database that is damaged, or the new one cannot be written.
    """
    path = home / database.NAME
    notice = ""
    try:
        with database.readable_errors(path):
            if _beside(path, _FINISHED).exists():
                notice = _replace(home)
        return database.connect(path), notice
    except DamagedStore:
        with database.readable_errors(path):
            notice = _replace(home)
        return database.connect(path), notice


def connect_readonly(home: Path) -> tuple[sqlite3.Connection, str]:
    """Return a connection that cannot write, and a notice if the database is damaged.

    What can be read of a damaged database is then a copy in memory. Nothing is changed.

    Args:
        home: the OptLab folder.

    Raises:
        StoreError: as :func:`optlab.store.database.connect_readonly`.
    """
    path = home / database.NAME
    try:
        return database.connect_readonly(path), ""
    except DamagedStore as error:
        from optlab.store import salvage  # rarely needed

        with database.readable_errors(path), closing(Pages(path)) as pages:
            _refuse_newer(path, pages)
            connection = database.empty(path)
            saved = salvage.salvage(pages, connection)
        connection.execute("PRAGMA query_only = ON")
        notice = (
            f"{path} is damaged ({error.what}) and was not changed; {saved.sentence('read')}; "
            "it is set aside and replaced when a run is recorded next."
        )
        notices.give(notice)
        return connection, notice


def _replace(home: Path) -> str:
    """Replace a damaged database; a notice, "" where another process has done so."""
    path = home / database.NAME
    with _alone(home):
        soundness.forget(path)
        sentence, what = "", "a kill interrupted its replacement"
        if not _beside(path, _FINISHED).exists():
            try:
                database.connect(path).close()
                return ""
            except DamagedStore as error:
                what = error.what
            _refuse_while_recording(home, what)
            with closing(Pages(path)) as pages:
                _refuse_newer(path, pages)
                sentence = _write_new(path, pages)
        folder = _switch(home)
    notice = f"{path} was damaged ({what}), so it was set aside in {folder}"
    notice += f" and replaced: {sentence}." if sentence else " and replaced."
    (folder / "what-was-saved.txt").write_text(notice + "\n", encoding="utf-8")
    notices.give(notice)
    return notice


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Let one process at a time replace the database."""
    from filelock import FileLock, Timeout

    (home / LOCKS).mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / LOCKS / "salvage.lock")
    try:
        lock.acquire(timeout=_WAIT_SECONDS)
    except Timeout as error:
        raise StoreError(
            f"Another OptLab has been saving the damaged {home / database.NAME} for "
            f"{_WAIT_SECONDS:g} seconds; try again when it has finished."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _refuse_while_recording(home: Path, what: str) -> None:
    """Make sure that no process is recording a run: it would go on writing into the old file.

    Raises:
        StoreError: one is.
    """
    locks = sorted(path.stem for path in (home / LOCKS).glob("*.lock"))
    if any(is_owner(name) and is_held(home, name) for name in locks):
        raise StoreError(
            f"{home / database.NAME} is damaged ({what}), and a run is being recorded into it; "
            "end that run, then start OptLab again, which saves what can be read."
        )


def _refuse_newer(path: Path, pages: Pages) -> None:
    version, newest = pages.number_at(60), len(database.migrations())
    if pages.number_at(68) == database.APPLICATION and version > newest:
        raise StoreError(
            f"{path} was written by a newer OptLab (version {version} of the file; this one reads "
            f"up to {newest}) and is damaged; update OptLab, or set OPTLAB_HOME to another folder."
        )


def _write_new(path: Path, pages: Pages) -> str:
    """Write the new database beside the old one; what was saved."""
    from optlab.store import salvage  # rarely needed

    unfinished = _beside(path, _UNFINISHED)
    for leftover in (unfinished, _beside(path, f"{_UNFINISHED}-journal")):
        leftover.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
        checksums.register(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        database.migrate(connection, path, database.migrations())
        saved = salvage.salvage(pages, connection)
    _flush(unfinished)
    os.replace(unfinished, _beside(path, _FINISHED))
    _flush(path.parent)
    return saved.sentence("saved")


def _switch(home: Path) -> Path:
    """Put the finished new database in the place of the old one; the folder of the old one."""
    path = home / database.NAME
    # SQLite follows a link, and has the log beside the file that it leads to.
    real = path.resolve()
    log = journal.path_of(real)
    folder = _fresh_folder(home)
    for old in (real, log):
        if old.exists():
            _keep(old, folder / old.name)
    _flush(folder)
    _move_unlisted(home, _beside(path, _FINISHED))
    for stale in (log, real.with_name(f"{real.name}-shm")):
        stale.unlink(missing_ok=True)
    _flush(real.parent)
    if real.parent == path.parent.resolve():
        os.replace(_beside(path, _FINISHED), real)
    else:
        real.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        os.replace(_beside(path, _FINISHED), path)
    _flush(home)
    return folder


def _fresh_folder(home: Path) -> Path:
    stem, number = f"damaged-{datetime.now(UTC):%Y%m%d-%H%M%S}", 1
    while True:
        folder = home / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def _keep(file: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has only one for each."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copy2(file, target)
        _flush(target)


def _move_unlisted(home: Path, saved: Path) -> None:
    """Move snapshots that the new database does not name, since resuming a run removes such."""
    with closing(sqlite3.connect(f"{saved.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        for (run,) in connection.execute("SELECT id FROM runs").fetchall():
            folder = home / database.SNAPSHOT_FOLDER / run
            if not is_run_id(run) or folder.is_symlink() or not folder.is_dir():
                continue
            named = {record.file for record in snapshots.records(connection, run)}
            for file in folder.iterdir():
                if file.name not in named and file.suffix == ".safetensors":
                    (folder / UNLISTED).mkdir(exist_ok=True)
                    os.replace(file, folder / UNLISTED / file.name)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _flush(path: Path) -> None:
    """Flush a file or, where the system can do that, a folder to the disk."""
    if os.name != "posix" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
