"""Records: the metadata of a run and of a snapshot, column by column, and how runs are named."""

from __future__ import annotations

import dataclasses
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import optlab
from optlab.core.identity import FileIdentity
from optlab.store.columns import RecordTable, Table, column, table_of
from optlab.store.names import is_owner, is_run_id

RunStatus = Literal["running", "paused", "finished", "stopped", "diverged", "failed", "interrupted"]
"""``interrupted``: its process died, or recording it failed; the others as in
:data:`optlab.training.events.Status`.
"""
GOING: tuple[RunStatus, ...] = ("running", "paused")
RESUMABLE: tuple[RunStatus, ...] = ("interrupted", "stopped", "failed")

_STATUSES = frozenset(get_args(RunStatus))
_NUMBERS = frozenset({int, float, type(None)})
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without letters that look like figures."""


def _is_text(value: object) -> bool:
    # Bytes that are not UTF-8 arrive as lone surrogates, which cannot be shown.
    return isinstance(value, str) and (
        value.isascii() or value.encode("utf-8", "replace").decode() == value
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 0


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and value >= 0.0


def _is_time(value: object) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None


def _is_time_or_empty(value: object) -> bool:
    return value == "" or _is_time(value)


def _is_status(value: object) -> bool:
    return value in _STATUSES


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(_is_text(item) for item in value)


def _is_texts_by_name(value: object) -> bool:
    return isinstance(value, dict) and all(_is_text(item) for item in value.values())


def _is_numbers_by_name(value: object) -> bool:
    return isinstance(value, dict) and _NUMBERS.issuperset(map(type, value.values()))


def _is_identities_by_path(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(item, dict)
        and item.keys() == {"bytes", "sha256"}
        and _is_count(item["bytes"])
        and re.fullmatch("[0-9a-f]{64}", item["sha256"]) is not None
        for item in value.values()
    )


def _is_anything(value: object) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One stored run.

    The fields are the columns of the table ``runs``, in order; a new one goes to the end, with a
    default that its migration gives to the rows that exist.

    Attributes:
        id: unique; ids sort by time.
        title: for people.
        experiment: the requested experiment, as TOML.
        status: see :data:`RunStatus`.
        owner: name of the lock that the process of the run holds.
        created, ended: UTC, ISO 8601; ``ended`` is "" while the run has not ended.
        runner: where it ran, ``thread`` or ``process``.
        device, device_name: what it computed on.
        versions: of optlab, torch, numpy and python.
        population: id of the first run of its population (its own where it ran alone).
        place: its row in the population.
        tracked: names of the followed weights.
        steps, seconds: progress, as far as it is stored.
        final, theta_sha256, reason, broken: see :class:`optlab.training.events.RunEnded`; empty
            while it has not ended.
        detail: the traceback of a failed run.
        files: path of each file that it read → ``bytes`` and ``sha256``, see :attr:`identities`.
    """

    id: str = column(is_run_id)
    title: str = column(_is_text)
    experiment: str = column(_is_text)
    status: RunStatus = column(_is_status)  # noqa: RUF009 - a dataclass field, not a value
    owner: str = column(is_owner)
    created: str = column(_is_time)
    ended: str = column(_is_time_or_empty, default="")
    runner: str = column(_is_text)
    device: str = column(_is_text, default="")
    device_name: str = column(_is_text, default="")
    versions: Mapping[str, str] = column(_is_texts_by_name, json=True)
    population: str = column(is_run_id)
    place: int = column(_is_count)
    tracked: tuple[str, ...] = column(_is_texts, json=True, default=())
    steps: int = column(_is_count, default=0)
    seconds: float = column(_is_duration, default=0.0)
    final: Mapping[str, float | None] = column(_is_numbers_by_name, json=True, default={})
    theta_sha256: str = column(_is_text, default="")
    reason: str = column(_is_text, default="")
    broken: str = column(_is_text, default="")
    detail: str = column(_is_text, default="")
    files: Mapping[str, Mapping[str, Any]] = column(_is_identities_by_path, json=True, default={})

    @property
    def identities(self) -> dict[str, FileIdentity]:
        """What identified each file when the run read it; empty for runs of an older OptLab."""
        return {path: FileIdentity(**identity) for path, identity in self.files.items()}

    @property
    def going(self) -> bool:
        """Whether the run is in progress."""
        return self.status in GOING

    @property
    def resumable(self) -> bool:
        """Whether the run can be resumed."""
        return self.status in RESUMABLE


@dataclass(frozen=True, kw_only=True)
class SnapshotRecord:
    """The metadata of a stored snapshot.

    The fields up to ``memory`` are the columns of the table ``snapshots``. They are checked when
    the snapshot is loaded, so that a damaged row does not hide the others.

    Attributes:
        run, step, reason, seconds: see :class:`optlab.training.snapshot.Snapshot`.
        file: its name within the folder of the run.
        bytes, sha256: of the file.
        changes, memory: the snapshot's values and memory, as JSON.
        intact: whether the row matches its checksum.
    """

    run: str = column(_is_anything)
    step: int = column(_is_anything)
    reason: str = column(_is_anything)
    seconds: float = column(_is_anything)
    file: str = column(_is_anything)
    bytes: int = column(_is_anything)
    sha256: str = column(_is_anything)
    changes: str = column(_is_anything)
    memory: str = column(_is_anything)
    intact: bool = True


RUNS: RecordTable[RunRecord] = table_of("runs", RunRecord, run="id")
SNAPSHOTS: RecordTable[SnapshotRecord] = table_of("snapshots", SnapshotRecord)
GROUPS = Table("bundles", ("run", "number", "columns"))
"""Which series share their chunks; see :mod:`optlab.store.series_groups`."""
CONTROLS = Table("controls", ("run", "number", "step", "message"))
TABLES: Mapping[str, Table] = {table.name: table for table in (RUNS, SNAPSHOTS, GROUPS, CONTROLS)}
"""Name → each table with checksums."""


def interrupted(record: RunRecord, reason: str) -> RunRecord:
    """Return the record with the status ``interrupted``."""
    return dataclasses.replace(record, status="interrupted", reason=reason)


def now() -> str:
    """Return the current time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def fresh_id() -> str:
    """Return a new run id: the time to the second (UTC) and four random characters."""
    import secrets  # takes longer to import than all of this module

    return (
        f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"
    )


def versions() -> dict[str, str]:
    """Return the versions of what determines the numbers, without importing torch."""
    # Both take longer to import than a list of runs to read.
    import importlib.metadata

    import numpy

    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch = ""
    return {
        "optlab": optlab.__version__,
        "torch": torch,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }
