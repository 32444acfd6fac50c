"""Records: the metadata of runs, snapshots and studies, column by column, and how they are named."""

from __future__ import annotations

import dataclasses
import platform
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar, get_args

import optlab
from optlab.core.identity import FileIdentity
from optlab.store.columns import RecordTable, Table, column, table_of
from optlab.store.names import STUDY, is_owner, is_run_id, is_study_id

RunStatus = Literal["running", "paused", "finished", "stopped", "diverged", "failed", "interrupted"]
"""``interrupted``: its process died, or recording it failed; the others as in
:data:`optlab.training.events.Status`.
"""
GOING: tuple[RunStatus, ...] = ("running", "paused")
RESUMABLE: tuple[RunStatus, ...] = ("interrupted", "stopped", "failed")
StudyStatus = Literal["running", "finished", "stopped", "failed", "interrupted"]
"""As :data:`RunStatus`."""
STUDY_RESUMABLE: tuple[StudyStatus, ...] = ("interrupted", "stopped", "failed")
StudyRole = Literal["decides", "tunes"]
"""Whether a run is one of those that decide, or of those that only choose an arm's setting."""

_STATUSES = frozenset(get_args(RunStatus))
_STUDY_STATUSES = frozenset(get_args(StudyStatus))
_ROLES = frozenset(get_args(StudyRole))
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


def _is_color(value: object) -> bool:
    return isinstance(value, int) and value >= -1


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and value >= 0.0


def _is_time(value: object) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None


def _is_time_or_empty(value: object) -> bool:
    return value == "" or _is_time(value)


def _is_run_id_or_empty(value: object) -> bool:
    return value == "" or is_run_id(value)


def _is_status(value: object) -> bool:
    return value in _STATUSES


def _is_study_status(value: object) -> bool:
    return value in _STUDY_STATUSES


def _is_role(value: object) -> bool:
    return value in _ROLES


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


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
        runner: where it ran, ``thread``, ``process`` or ``cluster``.
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
        parent: id of the run that it was forked from, which may have been deleted since; "" where
            it began at its own start.
        at: step at which it was forked, 0 without a parent.
        name: the user's own name for it; "" for what distinguishes it from others.
        color: index into the palette of plots, for life; -1 in a store that was not migrated.
        starred: whether the user gave it a star.
        note: what the user wrote about it.
        tags: words that the user put it under.
        deleted: when it was marked as deleted (UTC, ISO 8601); "" where it is not.
        epoch_steps, epoch_examples: steps of a pass through its training set, and examples in it; 0
            in runs of an older OptLab and before the first step.
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
    parent: str = column(_is_run_id_or_empty, default="")
    at: int = column(_is_count, default=0)
    name: str = column(_is_text, default="")
    color: int = column(_is_color, default=-1)
    starred: bool = column(_is_flag, json=True, default=False)
    note: str = column(_is_text, default="")
    tags: tuple[str, ...] = column(_is_texts, json=True, default=())
    deleted: str = column(_is_time_or_empty, default="")
    epoch_steps: int = column(_is_count, default=0)
    epoch_examples: int = column(_is_count, default=0)

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


@dataclass(frozen=True)
class Origin:
    """Where a fork begins: see :attr:`RunRecord.parent` and :attr:`RunRecord.at`."""

    parent: str = ""
    at: int = 0


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


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """One stored study.

    The fields are the columns of the table ``studies``, in order.

    Attributes:
        id: unique; ids sort by time.
        question: that it answers, for people.
        name: of the shipped study or of the file that it comes from; may be "".
        document: the study, as TOML.
        status: see :data:`StudyStatus`.
        owner: name of the lock that the process of the study holds.
        created, ended: UTC, ISO 8601; ``ended`` is "" while the study has not ended.
        seconds: that it has taken, all sessions together, as far as they are stored.
        reason: why it ended, or what is lost of it.
        detail: the traceback of a failed study.
        versions: of optlab, torch, numpy and python.
        runs: how many runs were recorded as its own. Those that were deleted since, or are lost,
            are counted, too; see :func:`missing_runs`.
        result: what it found, as JSON; empty until there is a result.
        measured: arm → index of the seed → value, of the arms that are computed, not trained; a
            value that is not finite is its name: ``nan``, ``inf`` or ``-inf``.
    """

    id: str = column(is_study_id)
    question: str = column(_is_text)
    name: str = column(_is_text, default="")
    document: str = column(_is_text)
    status: StudyStatus = column(_is_study_status)  # noqa: RUF009 - a dataclass field, not a value
    owner: str = column(is_owner)
    created: str = column(_is_time)
    ended: str = column(_is_time_or_empty, default="")
    seconds: float = column(_is_duration, default=0.0)
    reason: str = column(_is_text, default="")
    detail: str = column(_is_text, default="")
    versions: Mapping[str, str] = column(_is_texts_by_name, json=True)
    runs: int = column(_is_count, default=0)
    result: Mapping[str, Any] = column(_is_mapping, json=True, default={})
    measured: Mapping[str, Mapping[str, float | str]] = column(_is_mapping, json=True, default={})

    @property
    def going(self) -> bool:
        """Whether the study is in progress."""
        return self.status == "running"

    @property
    def resumable(self) -> bool:
        """Whether the study can be resumed."""
        return self.status in STUDY_RESUMABLE


@dataclass(frozen=True, kw_only=True)
class StudyRun:
    """One run of a study. The fields are the columns of the table ``study_runs``, in order.

    Attributes:
        study: id of the study; a :class:`~optlab.store.study_writer.StudyWriter` fills it in.
        run: id of the run.
        arm: name of the arm.
        role: see :data:`StudyRole`.
        seed: index of the seed, from 0.
        setting: what tuning has set, path of the field → value; empty without tuning.
        number: place of the run in the order of the study.
    """

    study: str = column(is_study_id, default="")
    run: str = column(is_run_id)
    arm: str = column(_is_text)
    role: StudyRole = column(_is_role)  # noqa: RUF009 - a dataclass field, not a value
    seed: int = column(_is_count)
    setting: Mapping[str, Any] = column(_is_mapping, json=True, default={})
    number: int = column(_is_count)


RUNS: RecordTable[RunRecord] = table_of("runs", RunRecord, run="id")
SNAPSHOTS: RecordTable[SnapshotRecord] = table_of("snapshots", SnapshotRecord)
GROUPS = Table("bundles", ("run", "number", "columns"))
"""Which series share their chunks; see :mod:`optlab.store.series_groups`."""
CONTROLS = Table("controls", ("run", "number", "step", "message"))
STUDIES: RecordTable[StudyRecord] = table_of("studies", StudyRecord, run="id")
STUDY_RUNS: RecordTable[StudyRun] = table_of("study_runs", StudyRun, run="study")
TABLES: Mapping[str, Table] = {
    table.name: table for table in (RUNS, SNAPSHOTS, GROUPS, CONTROLS, STUDIES, STUDY_RUNS)
}
"""Name → each table with checksums."""

Ended = TypeVar("Ended", RunRecord, StudyRecord)


def interrupted(record: Ended, reason: str) -> Ended:
    """Return the record with the status ``interrupted``."""
    return dataclasses.replace(record, status="interrupted", reason=reason)


def missing_runs(study: StudyRecord, runs: Sequence[StudyRun]) -> str:
    """Return a sentence if runs of a study are no longer stored, "" where all are.

    Args:
        study: the record.
        runs: those that are stored of it.
    """
    count = study.runs - len(runs)
    if count <= 0:
        return ""
    were = "is" if count == 1 else "are"
    result = "; its result was found with all of them" if study.result else ""
    return (
        f"Study {study.id}: {count:,} of its {study.runs:,} runs {were} no longer stored{result}."
    )


def now() -> str:
    """Return the current time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def fresh_id() -> str:
    """Return a new run id: the time to the second (UTC) and four random characters."""
    import secrets  # takes longer to import than all of this module

    return (
        f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"
    )


def fresh_study_id() -> str:
    """Return a new study id, which cannot be taken for that of a run."""
    return f"{STUDY}{fresh_id()}"


def unused(connection: sqlite3.Connection, table: str, fresh: Callable[[], str]) -> str:
    """Return an id that no row of a table has, inside a transaction."""
    while True:
        found = fresh()
        if connection.execute(f"SELECT 1 FROM {table} WHERE id = ?", (found,)).fetchone() is None:
            return found


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
