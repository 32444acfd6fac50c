"""Snapshots on disk: one safetensors file each, written atomically and verified before use.

A file is written under a temporary name, flushed to the disk, and renamed; only then it is entered
in the database, with its size and SHA-256. A kill at any moment leaves at most a file without a row,
which is removed when the run is resumed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optlab.core.errors import StoreError
from optlab.core.lazy import numpy as np
from optlab.store.checksums import is_intact
from optlab.store.columns import marks, parts
from optlab.store.database import SNAPSHOT_FOLDER
from optlab.store.names import is_snapshot_file, run_id
from optlab.store.records import SNAPSHOTS, SnapshotRecord
from optlab.store.spacing import BUDGET, MAX_KEPT, outdated
from optlab.training.snapshot import Snapshot

_FLUSHES = 8
"""Files that are flushed to the disk at the same time."""
_UNFINISHED = ".part"
_STATE = "state."


def records(connection: sqlite3.Connection, run: str) -> list[SnapshotRecord]:
    """Return all snapshots of a run by step, those of one step in the order of their creation.

    A damaged row without a step counts as one of step −1.
    """
    return records_of(connection, [run])[run]


def records_of(
    connection: sqlite3.Connection, runs: Sequence[str]
) -> dict[str, list[SnapshotRecord]]:
    """Return run → its snapshots as :func:`records` does, of several runs at once."""
    found: dict[str, list[SnapshotRecord]] = {run: [] for run in runs}
    for part in parts(runs):
        rows = connection.execute(
            f"SELECT {SNAPSHOTS.columns}, checksum FROM snapshots WHERE run IN ({marks(part)}) "
            "ORDER BY step, rowid",
            part,
        )
        for *values, checksum in rows:
            found[values[0]].append(_record(values, checksum))
    return found


def _record(values: list[Any], checksum: object) -> SnapshotRecord:
    fields = dict(zip(SNAPSHOTS.names, values, strict=True))
    texts = ("reason", "sha256", "changes", "memory")
    sound = (
        all(type(fields[name]) is int and fields[name] >= 0 for name in ("step", "bytes"))
        and type(fields["seconds"]) in (int, float)
        and all(type(fields[name]) is str for name in texts)
    )
    if type(fields["step"]) is not int:
        fields["step"] = -1
    return SnapshotRecord(**fields, intact=sound and is_intact(values, checksum))


def folder(home: Path, run: str) -> Path:
    """Return the folder of a run's snapshots.

    Raises:
        StoreError: ``run`` is not a valid id.
    """
    return home / SNAPSHOT_FOLDER / run_id(run)


def _own_folder(home: Path, run: str) -> Path:
    """Return the folder of a run's snapshots for changes in it.

    Raises:
        StoreError: it is a link to another folder.
    """
    path = folder(home, run)
    if path.is_symlink():
        raise StoreError(
            f"{path} is a link to another folder, in which OptLab changes nothing; remove the link."
        )
    return path


def discard(home: Path, run: str, file: str) -> None:
    """Remove a snapshot's file if it exists and has a name that OptLab gives.

    Raises:
        OSError: it cannot be removed.
        StoreError: the folder of the run is a link.
    """
    if is_snapshot_file(file):
        (_own_folder(home, run) / file).unlink(missing_ok=True)


def remove_all(home: Path, run: str) -> None:
    """Remove all snapshots of a run. Links are removed, their targets are not.

    Raises:
        OSError: a file cannot be removed.
        StoreError: ``run`` is not a valid id.
    """
    path = folder(home, run)
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def write(home: Path, run: str, snapshot: Snapshot, used: set[str]) -> SnapshotRecord:
    """Write a snapshot's file and return the record for the database.

    Args:
        home: the OptLab folder.
        run: id of the run.
        snapshot: to write.
        used: names of files that rows refer to. They are not overwritten, since a kill could leave
            a row with another file's hash.

    Raises:
        OSError: it cannot be written.
        StoreError: the folder of the run is a link.
    """
    from safetensors.numpy import save

    tensors = {
        "theta": snapshot.theta,
        **{_STATE + name: value for name, value in snapshot.state.items()},
    }
    about = {"program": "optlab", "run": run, "step": str(snapshot.step), "reason": snapshot.reason}
    data = save(
        {name: np.array(value, order="C", copy=None) for name, value in tensors.items()}, about
    )
    stem = f"{snapshot.step}-{snapshot.reason}"
    name, number = f"{stem}.safetensors", 2
    while name in used:
        name, number = f"{stem}-{number}.safetensors", number + 1
    target = _own_folder(home, run)
    target.mkdir(parents=True, exist_ok=True)
    # Changes come in bursts, and what one loses when the power fails can be computed again.
    _write_atomically(target / name, data, durable=snapshot.reason != "changed")
    return SnapshotRecord(
        run=run,
        step=snapshot.step,
        reason=snapshot.reason,
        seconds=snapshot.seconds,
        file=name,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        changes=json.dumps(dict(snapshot.values)),
        memory=json.dumps(dict(snapshot.memory)),
    )


def write_all(home: Path, taken: Sequence[tuple[str, Snapshot, set[str]]]) -> list[SnapshotRecord]:
    """Write the files of several snapshots as :func:`write` does, and return their records.

    Several are flushed at the same time, as the system then brings them to the disk together.

    Args:
        home: the OptLab folder.
        taken: run, snapshot, and the names of files that rows refer to, of each.

    Raises:
        OSError: one cannot be written; some of the others may have been.
        StoreError: the folder of a run is a link.
    """
    if len(taken) == 1:
        return [write(home, *taken[0])]
    from concurrent.futures import ThreadPoolExecutor  # a list of runs does not wait for it

    with ThreadPoolExecutor(min(_FLUSHES, len(taken)), "optlab-snapshots") as pool:
        return list(pool.map(lambda one: write(home, *one), taken))


def write_beside(home: Path, run: str, file: str, data: bytes) -> None:
    """Write a file beside the snapshots of a run, in place of the one of that name.

    It is not flushed to the disk: nothing that a run needs may be in it.

    Args:
        home: the OptLab folder.
        run: id of the run.
        file: its name, which is not that of a snapshot.
        data: its content.

    Raises:
        OSError: it cannot be written.
        StoreError: the folder of the run is a link.
    """
    target = _own_folder(home, run)
    target.mkdir(parents=True, exist_ok=True)
    _write_atomically(target / file, data, durable=False)


def _write_atomically(path: Path, data: bytes, *, durable: bool) -> None:
    unfinished = path.with_name(path.name + _UNFINISHED)
    try:
        # A file left by a kill, or a link that would be followed.
        unfinished.unlink(missing_ok=True)
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    if durable and os.name == "posix":
        # The new name is on the disk only once the folder is flushed.
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def load(home: Path, record: SnapshotRecord) -> Snapshot:
    """Return the snapshot of a record.

    Raises:
        StoreError: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_tensors

    # A name from the database must not point outside the folder.
    if not is_snapshot_file(record.file):
        raise StoreError(
            f"Run {record.run}: the snapshot of step {record.step:,} has no valid file name."
        )
    path = folder(home, record.run) / record.file
    if not record.intact:
        raise _damaged(record, path)
    try:
        # A device or a pipe in a store from elsewhere would be read without end.
        about = path.stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size != record.bytes:
            raise _damaged(record, path)
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"Run {record.run}: the snapshot of step {record.step:,} cannot be read "
            f"({path}: {error.strerror})."
        ) from error
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise _damaged(record, path)
    try:
        tensors = load_tensors(data)
        values, memory = json.loads(record.changes), json.loads(record.memory)
    except (SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise _damaged(record, path) from error
    if "theta" not in tensors or not isinstance(values, dict) or not isinstance(memory, dict):
        raise _damaged(record, path)
    return Snapshot(
        step=record.step,
        seconds=record.seconds,
        theta=tensors["theta"],
        state={
            name.removeprefix(_STATE): value
            for name, value in tensors.items()
            if name.startswith(_STATE)
        },
        values=values,
        memory=memory,
        reason=record.reason,
    )


def _damaged(record: SnapshotRecord, path: Path) -> StoreError:
    which = f"Run {record.run}: the snapshot of step {record.step:,}"
    return StoreError(
        f"{which} is damaged ({path} does not hold what was written); use another snapshot."
    )


def superseded(
    before: Sequence[SnapshotRecord],
    new: Sequence[SnapshotRecord],
    budget: int = BUDGET,
    most: int = MAX_KEPT,
) -> list[SnapshotRecord]:
    """Return the snapshots of the runs of a session that new ones of one moment replace.

    They are those at the same step for the same reason, and those that
    :func:`optlab.store.spacing.outdated` removes. All runs keep the same steps, since a
    population is taken up again only from snapshots of all of its runs.

    Args:
        before: of all its runs.
        new: of some of its runs.
        budget: bytes of the snapshots of all runs together. most: snapshots of a run.
    """
    keys = {(record.run, record.step, record.reason) for record in new}
    replaced = [old for old in before if (old.run, old.step, old.reason) in keys]
    moments: dict[tuple[int, str], list[SnapshotRecord]] = {}
    for record in (*before, *new):
        if not any(record is old for old in replaced):
            moments.setdefault((record.step, record.reason), []).append(record)
    sizes = {
        moment: sum(record.bytes for record in kept if type(record.bytes) is int)
        for moment, kept in moments.items()
    }
    removed = outdated(
        sorted(moments, key=lambda moment: moment[0]),
        lambda moment: (moment[0], sizes[moment], moment[1]),
        budget,
        most,
    )
    return [*replaced, *(record for moment in removed for record in moments[moment])]


def remove_strays(home: Path, run: str, named: set[str]) -> None:
    """Remove files that no row refers to: a kill left them.

    Raises:
        OSError: one cannot be removed.
        StoreError: the folder of the run is a link.
    """
    own = _own_folder(home, run)
    if own.is_dir():
        for path in own.iterdir():
            if path.name not in named and (path.is_symlink() or not path.is_dir()):
                path.unlink()
