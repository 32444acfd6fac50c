"""The table of runs: every stored run with its settings, its study and its name, kept up to date.

Reading all runs takes time once. After that, only the rows that changed are read: a checksum of each
row tells which.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from optlab.core import paths
from optlab.experiment.settings import Settings, distinguishing_names, label_of
from optlab.store import RunRecord, Store, StudyRun, database
from optlab.store.locks import is_held
from optlab.tasks.task import Task
from optlab.training.control import Controls

_LARGEST_FAMILY = 2_000
"""Runs of one title up to which each is named after what distinguishes it from all the others."""


@dataclass(frozen=True, eq=False)
class RunRow:
    """One stored run as a table shows it.

    Attributes:
        record: the run.
        settings: its experiment.
        member: the study and arm that it belongs to, or None.
        study: what that study is called, or "".
    """

    record: RunRecord
    settings: Settings
    member: StudyRun | None = None
    study: str = ""

    @cached_property
    def text(self) -> str:
        """Everything that a filter looks for, in small letters."""
        record = self.record
        parts = (
            record.name,
            record.title,
            *record.tags,
            record.note,
            record.status,
            record.id,
            self.study,
            "" if self.member is None else self.member.arm,
            *(
                _component(kind, name)
                for kind in ("optimizer", "dataset", "model")
                if (name := self.settings.get(f"{kind}.name"))
            ),
        )
        return "\n".join(parts).lower()

    @cached_property
    def family(self) -> tuple[str, ...]:
        """What is equal in runs that differ in nothing but their seeds; forks are apart."""
        return (self.record.parent, str(self.record.at), *self.settings.seedless)

    def values_of(self, name: str) -> Sequence[Any]:
        """Return the values of a field of the record, the end or the settings; () for none."""
        record = self.record
        if name in _OF_THE_RECORD:
            return (getattr(record, name),)
        if name in record.final:
            value = record.final[name]
            return () if value is None else (value,)
        return self.settings.find(name)


@functools.lru_cache(maxsize=1024)
def _component(kind: str, name: str) -> str:
    return f"{name} {label_of(kind, name)}"


_OF_THE_RECORD = ("status", "steps", "seconds", "device", "runner", "title", "name", "parent", "at")


@dataclass(frozen=True)
class RunTable:
    """All runs that are listed, at one moment.

    Attributes:
        rows: by id, the newest first.
        names: id → what the run is called where others of its title are beside it.
        versions: id → checksum of its row, of all runs; tells what changes.
        stamp: size and time of the files of the store; equal where nothing was written.
        hidden: a sentence about rows that are damaged, or "".
        notice: what was done about a damaged store when it was opened, or "".
    """

    rows: Mapping[str, RunRow] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, int | None] = field(default_factory=dict)
    stamp: tuple[tuple[int, int], ...] = ()
    hidden: str = ""
    notice: str = ""

    @cached_property
    def going(self) -> tuple[RunRecord, ...]:
        """The runs in progress."""
        return tuple(row.record for row in self.rows.values() if row.record.going)


@dataclass(frozen=True)
class RunTableTask(Task):
    """Read the table of runs; the result is a :class:`RunTable`.

    The store is opened for writing, so that it is migrated and dead runs are marked.

    Attributes:
        purge_before: remove the runs that were marked as deleted before this time; "" for none.
    """

    purge_before: str = ""

    def run(self, controls: Controls) -> Iterator[RunTable]:
        """Read the table; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            StoreError: the store cannot be opened or read.
        """
        stamp = _stamp()
        with Store.open() as store:
            if self.purge_before:
                store.purge(self.purge_before)
            versions = store.versions()
            records = store.runs()
            rows = rows_of(store, records)
            hidden = " ".join(filter(None, (store.notice, store.hidden)))
            yield RunTable(rows, names_of(rows), versions, stamp, hidden, store.notice)


@dataclass(frozen=True)
class RunChangesTask(Task):
    """Bring a table of runs up to date; the result is a :class:`RunTable`, or None without changes.

    Where no file of the store has changed and no process of a run has died, nothing is opened.

    Attributes:
        table: as it was read last.
    """

    table: RunTable

    def run(self, controls: Controls) -> Iterator[RunTable | None]:
        """Look for changes; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            StoreError: the store cannot be read.
        """
        stamp, old = _stamp(), self.table
        going = old.going
        home = paths.home()
        alive = {owner: is_held(home, owner) for owner in {record.owner for record in going}}
        if stamp == old.stamp and all(alive.values()):
            yield None
            return
        with Store.open_readonly() as store:
            versions = store.versions()
            dead = {record.id for record in going if not alive[record.owner]}
            changed = [
                run
                for run, version in versions.items()
                if run in dead or run not in old.versions or old.versions[run] != version
            ]
            found = store.runs_of(changed)
            fresh = rows_of(store, [one for one in found.values() if not one.deleted], old.rows)
        gone = set(old.rows) - set(versions) | {run for run in changed if run not in fresh}
        if not fresh and not gone & set(old.rows):
            yield dataclasses.replace(old, versions=versions, stamp=stamp)
            return
        rows = {run: row for run, row in old.rows.items() if run not in gone}
        known = set(rows)
        rows |= fresh
        if set(fresh) - known:
            rows = dict(sorted(rows.items(), key=_newest_first, reverse=True))
        same = len(rows) == len(known) and set(rows) == set(old.rows)
        names = old.names if same else names_of(rows)
        yield RunTable(rows, names, versions, stamp, old.hidden)


def _newest_first(item: tuple[str, RunRow]) -> tuple[str, int]:
    record = item[1].record
    return record.created, -record.place


def rows_of(
    store: Store, records: Sequence[RunRecord], known: Mapping[str, RunRow] | None = None
) -> dict[str, RunRow]:
    """Return the rows of runs by id, in their order.

    Args:
        store: that they are stored in. records: of the runs.
        known: rows that were read before; their settings are used again.

    Raises:
        StoreError: the studies cannot be read.
    """
    members = store.memberships([one.id for one in records] if len(records) < 500 else None)
    wanted = {members[one.id].study for one in records if one.id in members}
    studies = {one.id: one.name or one.question for one in store.studies()} if wanted else {}
    rows: dict[str, RunRow] = {}
    for record in records:
        before = (known or {}).get(record.id)
        same = before is not None and before.record.experiment == record.experiment
        settings = before.settings if same and before else Settings.of(record.experiment)
        member = members.get(record.id)
        study = "" if member is None else studies.get(member.study, member.study)
        row = RunRow(record, settings, member, study)
        # Computed here and not where a list is filtered or grouped for the first time.
        row.text, row.family  # noqa: B018
        rows[record.id] = row
    return rows


def names_of(rows: Mapping[str, RunRow]) -> dict[str, str]:
    """Return what each run is called: the title, and what distinguishes it from others of that title."""
    names: dict[str, str] = {}
    by_title = sorted(rows.values(), key=lambda row: row.record.title)
    for title, group in itertools.groupby(by_title, key=lambda row: row.record.title):
        family = list(group)
        if len(family) > _LARGEST_FAMILY:
            found: Sequence[str] = [""] * len(family)
        else:
            found = distinguishing_names([row.settings for row in family])
        for row, words in zip(family, found, strict=True):
            names[row.record.id] = f"{title} · {words}" if words else title
    return names


def shown_names(rows: Sequence[RunRow]) -> list[str]:
    """Return the names of runs that are shown together, all different.

    The user's own name, or else what distinguishes a run from the others; the title where one run
    is alone or nothing does. Where names would be equal, the end of the id is added.
    """
    if len(rows) == 1:
        return [rows[0].record.name or rows[0].record.title or rows[0].record.id]
    found = distinguishing_names([row.settings for row in rows])
    names = [
        row.record.name or words or row.record.title or row.record.id
        for row, words in zip(rows, found, strict=True)
    ]
    for number, row in enumerate(rows):
        if not row.record.name and row.record.parent:
            names[number] += f" ↳ {row.record.at:,}"
    return [
        name if names.count(name) == 1 else f"{name} · {row.record.id.rpartition('-')[2]}"
        for name, row in zip(names, rows, strict=True)
    ]


def _stamp() -> tuple[tuple[int, int], ...]:
    """Return size and time of the files of the store; reading them opens neither."""
    found = []
    for ending in ("", "-wal"):
        try:
            status = (paths.home() / f"{database.NAME}{ending}").stat()
        except OSError:
            found.append((0, 0))
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return tuple(found)
