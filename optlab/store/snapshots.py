"""Snapshots on disk: one safetensors file each, whole or not at all, verified before it is trusted.

A file is written under another name, forced to the disk, and renamed; only then the database learns
of it, with its size and SHA-256. A kill at any moment leaves at most a file that no row names,
which is removed when the run goes on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from optlab.core.errors import StoreError
from optlab.store.database import SNAPSHOTS
from optlab.store.names import is_snapshot_file, run_id
from optlab.store.seals import COLUMNS, is_intact
from optlab.training.snapshot import Snapshot

CHECKPOINTS = 2
"""Checkpoints that are kept of a run; of the other reasons all are."""
_UNFINISHED = ".part"
_STATE = "state."


@dataclass(frozen=True)
class SnapshotRecord:
    """What is known of a stored snapshot without reading its file.

    Attributes:
        run, step, reason, seconds: which; see :class:`optlab.training.snapshot.Snapshot`.
        file: name within the run's folder. bytes, sha256: of the file.
        changes, memory: JSON of the snapshot's values and memory. intact: whether all this is what
            was written.
    """

    run: str
    step: int
    reason: str
    seconds: float
    file: str
    bytes: int
    sha256: str
    changes: str
    memory: str
    intact: bool = True


_FIELDS = COLUMNS["snapshots"]
INSERT = f"INSERT OR REPLACE INTO snapshots ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def values(record: SnapshotRecord) -> tuple[object, ...]:
    """The values for :data:`INSERT`."""
    place = (record.run, record.step, record.reason, record.seconds)
    return (*place, record.file, record.bytes, record.sha256, record.changes, record.memory)


def records(connection: sqlite3.Connection, run: str) -> list[SnapshotRecord]:
    """All snapshots of a run, by step, those of one step in the order in which they were taken."""
    rows = connection.execute(
        f"SELECT {_FIELDS}, checksum FROM snapshots WHERE run = ? ORDER BY step, rowid", (run,)
    )
    return [
        dataclasses.replace(SnapshotRecord(*row[:-1]), intact=is_intact(row[:-1], row[-1]))
        for row in rows
    ]


def folder(home: Path, run: str) -> Path:
    """Return where a run's snapshots lie.

    Raises:
        StoreError: the name is not one of a run.
    """
    return home / SNAPSHOTS / run_id(run)


def _own_folder(home: Path, run: str) -> Path:
    """Return the folder for a change of what is in it.

    Raises:
        StoreError: it is a link to somewhere else.
    """
    place = folder(home, run)
    if place.is_symlink():
        raise StoreError(
            f"{place} is a link to another folder, where OptLab changes nothing; remove the link."
        )
    return place


def discard(home: Path, run: str, file: str) -> None:
    """Remove a snapshot's file, if it is there and its name is one that OptLab gives.

    Raises:
        OSError: it cannot be removed.
        StoreError: it lies elsewhere.
    """
    if is_snapshot_file(file):
        (_own_folder(home, run) / file).unlink(missing_ok=True)


def remove_all(home: Path, run: str) -> None:
    """Remove all snapshots of a run. Links are removed, and what they lead to stays.

    Raises:
        OSError: something cannot be removed.
    """
    place = folder(home, run)
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)


def write(home: Path, run: str, snapshot: Snapshot, taken: set[str]) -> SnapshotRecord:
    """Write a snapshot's file; the record is for the database.

    Args:
        taken: names of files that rows name already; those are not overwritten, since a kill could
            leave a row with another file's hash.

    Raises:
        OSError: it cannot be written.
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
    while name in taken:
        name, number = f"{stem}-{number}.safetensors", number + 1
    place = _own_folder(home, run)
    place.mkdir(parents=True, exist_ok=True)
    _write_whole(place / name, data)
    return SnapshotRecord(
        run,
        snapshot.step,
        snapshot.reason,
        snapshot.seconds,
        name,
        len(data),
        hashlib.sha256(data).hexdigest(),
        json.dumps(dict(snapshot.values)),
        json.dumps(dict(snapshot.memory)),
    )


def _write_whole(path: Path, data: bytes) -> None:
    unfinished = path.with_name(path.name + _UNFINISHED)
    try:
        # What lies there is the rest of a kill, or a link that would be followed.
        unfinished.unlink(missing_ok=True)
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        # The new name is on the disk only when the folder is.
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def load(home: Path, record: SnapshotRecord) -> Snapshot:
    """The snapshot of a record.

    Raises:
        StoreError: the file is missing or not what was written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_tensors

    # A name out of the database must not lead out of the folder.
    if not is_snapshot_file(record.file):
        raise StoreError(
            f"Run {record.run}: the snapshot of step {record.step:,} has no valid file name."
        )
    path = folder(home, record.run) / record.file
    if not record.intact:
        raise _damaged(record, path)
    try:
        if path.stat().st_size != record.bytes:
            raise _damaged(record, path)
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"Run {record.run}: the snapshot of step {record.step:,} cannot be read ({path}: {error.strerror})."
        ) from error
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise _damaged(record, path)
    try:
        tensors = load_tensors(data)
        changed, memory = json.loads(record.changes), json.loads(record.memory)
    except (SafetensorError, ValueError, TypeError) as error:
        raise _damaged(record, path) from error
    if "theta" not in tensors or not isinstance(changed, dict) or not isinstance(memory, dict):
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
        values=changed,
        memory=memory,
        reason=record.reason,
    )


def _damaged(record: SnapshotRecord, path: Path) -> StoreError:
    which = f"Run {record.run}: the snapshot of step {record.step:,}"
    return StoreError(f"{which} is damaged ({path} is not what was written); use another snapshot.")


def outdated(found: list[SnapshotRecord]) -> list[SnapshotRecord]:
    """Checkpoints that newer ones have made superfluous."""
    checkpoints = sorted(
        (record for record in found if record.reason == "checkpoint"),
        key=lambda record: record.step,
    )
    return checkpoints[:-CHECKPOINTS]


def remove_strays(home: Path, run: str, named: set[str]) -> None:
    """Remove files that no row names: what a kill left behind.

    Raises:
        OSError: one cannot be removed.
    """
    place = _own_folder(home, run)
    if place.is_dir():
        for path in place.iterdir():
            if path.name not in named and (path.is_symlink() or not path.is_dir()):
                path.unlink()
