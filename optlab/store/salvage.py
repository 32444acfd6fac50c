"""Salvage: all rows of a damaged database that match their checksums, as a new database.

What is lost is counted, and said in the record of each run that it belongs to; see
:mod:`optlab.store.mending`.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from optlab.store import database, series
from optlab.store.checksums import checksum as checksum_of
from optlab.store.checksums import register
from optlab.store.chunks import decode, from_row
from optlab.store.mending import Lost, mend, mend_study
from optlab.store.names import is_run_id, is_snapshot_file, is_study_id
from optlab.store.pages import Pages, Row, Tree, Value
from optlab.store.records import CONTROLS, RUNS, STUDIES, STUDY_RUNS, RunRecord, StudyRecord
from optlab.store.series_groups import Spec, width

KEYS = {
    "runs": ("id",),
    "bundles": ("run", "number"),
    "chunks": ("run", "bundle", "number"),
    "snapshots": ("run", "step", "reason"),
    "controls": ("run", "number"),
    "studies": ("id",),
    "study_runs": ("study", "run"),
}
"""Primary key of each table, those first that others refer to."""
_CHUNKS = "chunks"
_NEWEST = {"runs": "steps", "chunks": "rows", "studies": "seconds"}
"""The column that grows: of two rows with the same key, the larger one is the newer."""


@dataclass
class Salvaged:
    """What was saved.

    Attributes:
        runs: number of the runs saved.
        rows: number of the rows of their series, one a step and group.
        lost_runs: ids of the runs that are lost.
        damaged_runs: ids of the runs of which parts are lost.
        studies: number of the studies saved.
        lost_studies, damaged_studies: as of the runs.
        unclear: whether more runs may have been lost than are known.
    """

    runs: int = 0
    rows: int = 0
    lost_runs: list[str] = field(default_factory=list)
    damaged_runs: list[str] = field(default_factory=list)
    studies: int = 0
    lost_studies: list[str] = field(default_factory=list)
    damaged_studies: list[str] = field(default_factory=list)
    unclear: bool = False

    def sentence(self, done: str) -> str:
        """Return what was saved and what is lost, as a part of a sentence.

        Args:
            done: to what was saved: ``saved`` or ``read``.
        """
        lost = [
            f"{parts}{_listed(ids, noun)}"
            for parts, ids, noun in (
                ("", self.lost_runs, _RUN),
                ("parts of ", self.damaged_runs, _RUN),
                ("", self.lost_studies, _STUDY),
                ("parts of ", self.damaged_studies, _STUDY),
            )
            if ids
        ]
        what = f"{_counted(self.runs, _RUN)} with {self.rows:,} rows of series"
        if self.studies:
            what += f" and {_counted(self.studies, _STUDY)}"
        if lost:
            return f"{what} could be {done}, and {' and '.join(lost)} are lost"
        if self.unclear:
            return f"{what} could be {done}; whether there were more is unknown"
        return f"all of it could be {done}: {what}"


_RUN, _STUDY = ("run", "runs"), ("study", "studies")


def _counted(count: int, noun: tuple[str, str]) -> str:
    return f"{count:,} {noun[count != 1]}"


def _listed(ids: Sequence[str], noun: tuple[str, str]) -> str:
    listed = ", ".join(ids[:3]) + (", …" if len(ids) > 3 else "")
    return f"{_counted(len(ids), noun)} ({listed})"


def salvage(pages: Pages, connection: sqlite3.Connection) -> Salvaged:
    """Copy all rows that match their checksums.

    Args:
        pages: of the damaged file.
        connection: to an empty database of the newest version; rows are inserted in one
            transaction.
    """
    old = _Old(pages)
    with database.transaction(connection):
        saved = {table: _copy(old, table, connection) for table in KEYS}
        for table in KEYS:
            if table != _CHUNKS:
                names = ", ".join(name for name in old.layouts[-1][table].names if name != _SUM)
                connection.execute(f"UPDATE {table} SET {_SUM} = optlab_checksum({names})")
        result = Salvaged()
        for record in _records(connection):
            if mend(connection, record, old.lost(saved, record.id)):
                result.damaged_runs.append(record.id)
            result.runs += 1
        for study in _studies(connection):
            if mend_study(connection, study, old.lost_runs(connection, saved, study)):
                result.damaged_studies.append(study.id)
            result.studies += 1
        result.rows = connection.execute("SELECT coalesce(sum(rows), 0) FROM chunks").fetchone()[0]
    kept = {key[0] for key in saved["runs"]}
    kept |= {key[0] for key in saved["studies"]}
    known = {key[0] for keys in old.expected.values() for key in keys} | old.named
    known |= {run for _, run in old.expected["study_runs"]}
    lost = sorted(name for name in known - kept if isinstance(name, str) and is_run_id(name))
    result.lost_runs = [name for name in lost if not is_study_id(name)]
    result.lost_studies = [name for name in lost if is_study_id(name)]
    result.unclear = not old.roots or not pages.numbers
    return result


# --- reading the old file ------------------------------------------------------------------------


_SUM = "checksum"


@dataclass(frozen=True)
class _Layout:
    """The columns of a table in one version of the file: names, which are REAL, and defaults."""

    names: tuple[str, ...]
    reals: tuple[bool, ...]
    defaults: tuple[Value, ...]


@functools.cache
def _layouts() -> list[dict[str, _Layout]]:
    """Return the tables of each version, from version 1."""
    versions = []
    scripts = database.migrations()
    for version in range(1, len(scripts) + 1):
        reference = sqlite3.connect(":memory:", isolation_level=None)
        register(reference)
        database.migrate(reference, Path(database.NAME), scripts[:version])
        tables = {}
        for table in KEYS:
            columns = reference.execute(f"PRAGMA table_info({table})").fetchall()
            tables[table] = _Layout(
                tuple(column[1] for column in columns),
                tuple(column[2] == "REAL" for column in columns),
                tuple(
                    reference.execute(f"SELECT {column[4] or 'NULL'}").fetchone()[0]
                    for column in columns
                ),
            )
        versions.append(tables)
        reference.close()
    return versions


class _Old:
    """The damaged file: its tables, and which rows its indexes say that there were.

    Attributes:
        roots: name of a table or an index → its first page.
        expected: table → keys that its index contains.
        named: runs that rows name.
    """

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.layouts = _layouts()
        self.trees = {name: Tree() for name in ("", *KEYS)}
        self.named: set[Value] = set()
        self.roots = {
            row[1]: row[3]
            for row in pages.rows(1, self.trees[""])
            if len(row) == 5 and isinstance(row[1], str) and isinstance(row[3], int)
        }
        self.expected: dict[str, set[Row]] = {}
        self.sure: dict[str, bool] = {}
        for table, key in KEYS.items():
            tree = self.trees[f"index of {table}"] = Tree()
            root = self.roots.get(f"sqlite_autoindex_{table}_1")
            entries = pages.rows(root, tree) if root else ()
            self.expected[table] = {
                row[:-1] for row in entries if len(row) == len(key) + 1 and _is_key(row[:-1])
            }
            self.sure[table] = bool(root) and not tree.problems
        self._strays: list[Row] | None = None

    def rows(self, table: str) -> Iterator[Row]:
        """Yield all rows that may be of a table, those first whose place is known."""
        tree = self.trees[table]
        if root := self.roots.get(table):
            yield from self.pages.rows(root, tree)
        at = self.layouts[-1][table].names.index(_NEWEST.get(table, KEYS[table][0]))
        yield from sorted(self._stray_rows(), key=lambda row: _rank(row[at : at + 1]), reverse=True)

    def _stray_rows(self) -> list[Row]:
        """Return the rows on pages to which no tree leads."""
        if self._strays is None:
            reached = self.pages.free_pages() | self.trees[""].pages
            for root in self.roots.values():
                tree = Tree()
                for _ in self.pages.rows(root, tree):
                    pass
                reached |= tree.pages
            self._strays = [
                row
                for number in self.pages.numbers
                if number not in reached
                for row in self.pages.leaf_rows(number)
            ]
        return self._strays

    def values(self, table: str, row: Row) -> dict[str, Value] | None:
        """Return the values of a row by name, or None if it does not match its checksum."""
        newest = self.layouts[-1][table]
        oldest = next(layout[table] for layout in self.layouts if layout[table].names)
        if not len(oldest.names) <= len(row) <= len(newest.names):
            return None
        padded = (*row, *newest.defaults[len(row) :])
        values: dict[str, Value] = {
            name: float(value) if real and isinstance(value, int) else value
            for name, real, value in zip(newest.names, newest.reals, padded, strict=True)
        }
        if table == _CHUNKS or values.get(_SUM) is None:
            return values
        for layout in reversed(self.layouts):
            covered = layout[table].names
            if _SUM in covered and values[_SUM] == checksum_of(
                *(values[name] for name in covered if name != _SUM)
            ):
                return values
        return None

    def lost(self, saved: dict[str, set[Row]], run: str) -> Lost:
        """Return what is known to be lost of a run."""
        missing = {
            table: {key for key in self.expected[table] - saved[table] if key[0] == run}
            for table in KEYS
        }
        controls = sorted(
            key[1] for key in saved["controls"] if key[0] == run and isinstance(key[1], int)
        )
        whole = next((n for n, number in enumerate(controls) if n != number), len(controls))
        blind = bool(self.trees["controls"].problems) and not self.sure["controls"]
        return Lost(
            chunks={(key[1], key[2]) for key in missing[_CHUNKS]},
            groups={key[1] for key in missing["bundles"]},
            messages=whole if whole < len(controls) or missing["controls"] or blind else None,
            snapshots=len(missing["snapshots"]),
            # Where a frame of the log is damaged, an older version of its page was read.
            end_known=not self.pages.damaged_journal
            and (self.sure[_CHUNKS] or not self.trees[_CHUNKS].problems),
        )

    def lost_runs(
        self, connection: sqlite3.Connection, saved: dict[str, set[Row]], study: StudyRecord
    ) -> int:
        """Return how many runs of a study are lost, as far as that is known."""
        table = STUDY_RUNS.name
        if self.sure[table]:
            return sum(key[0] == study.id for key in self.expected[table] - saved[table])
        if not self.trees[table].problems:
            return 0
        kept = connection.execute("SELECT count(*) FROM study_runs WHERE study = ?", (study.id,))
        return max(0, study.runs - int(kept.fetchone()[0]))


def _is_key(key: Row) -> bool:
    return is_run_id(key[0]) and all(isinstance(part, int | str) for part in key)


def _rank(values: Row) -> float:
    return values[0] if values and isinstance(values[0], int | float) else -1


def _copy(old: _Old, table: str, connection: sqlite3.Connection) -> set[Row]:
    """Insert the sound rows of a table; their keys."""
    saved: dict[Row, float] = {}
    names = old.layouts[-1][table].names
    marks = ", ".join("?" * len(names))
    insert = f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) VALUES ({marks})"
    groups: dict[str, dict[int, tuple[Spec, ...]]] = {}
    for row in old.rows(table):
        values = old.values(table, row)
        if values is None:
            if len(row) > 2 and is_run_id(row[0]):
                old.named.add(row[0])
            continue
        key = tuple(values[name] for name in KEYS[table])
        # An older version of a page may still have a row that is on another page by now.
        age = _rank((values.get(_NEWEST.get(table, "")),))
        if not _is_key(key) or age <= saved.get(key, -inf):
            continue
        run = str(key[0])
        if table == _CHUNKS:
            if run not in groups:
                groups[run] = series.groups(connection, run)
            sound = _is_sound_chunk(tuple(values[name] for name in names), groups[run])
        else:
            sound = _is_sound(table, values)
        if not sound:
            continue
        try:
            connection.execute(insert, tuple(values[name] for name in names))
        except sqlite3.IntegrityError:
            # The run or the group that it belongs to is lost.
            old.named.add(run)
            continue
        saved[key] = age
    return set(saved)


def _is_sound(table: str, values: dict[str, Value]) -> bool:
    """Return whether values fit: a row of an old version has no checksum."""
    for records in (RUNS, STUDIES, STUDY_RUNS):
        if table == records.name:
            found, _ = records.parse([(*(values[name] for name in records.names), None)])
            return bool(found)
    if table == "bundles":
        try:
            series.specs_of(values["columns"])
        except (TypeError, ValueError, RecursionError):
            return False
    if table == "snapshots":
        return is_snapshot_file(values["file"]) and isinstance(values["step"], int)
    if table == CONTROLS.name:
        return isinstance(values["step"], int) and isinstance(values["message"], str)
    return True


def _is_sound_chunk(row: Row, groups: dict[int, tuple[Spec, ...]]) -> bool:
    chunk = from_row(row)
    return (
        chunk is not None
        and chunk.group in groups
        and decode(chunk, width(groups[chunk.group])) is not None
    )


def _records(connection: sqlite3.Connection) -> list[RunRecord]:
    rows = connection.execute(f"SELECT {RUNS.columns}, NULL FROM runs").fetchall()
    return RUNS.parse(rows)[0]


def _studies(connection: sqlite3.Connection) -> list[StudyRecord]:
    rows = connection.execute(f"SELECT {STUDIES.columns}, NULL FROM studies").fetchall()
    return STUDIES.parse(rows)[0]
