"""Trackio's runs: rows of a database a project, each with the metrics of a step as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from optlab.outside.foreign_runs.databases import has_columns, opened
from optlab.outside.foreign_runs.growing_files import newest
from optlab.outside.foreign_runs.nested import numbers_in
from optlab.outside.foreign_runs.records import (
    MAX_TEXT,
    Collected,
    NewValues,
    Place,
    RunIdentity,
    RunSource,
    moment,
    text,
)

_METRICS = ("id", "timestamp", "run_name", "step", "metrics")


class TrackioSource(RunSource):
    """A run of a database.

    Args:
        id: of the run in the folder. path: of the database. column, run: what distinguishes its
            rows: older versions only have names.
    """

    program = "Trackio"

    def __init__(self, id: str, path: Path, column: str, run: str) -> None:
        super().__init__(id, path)
        self.column, self.run = column, run

    @classmethod
    def found(cls, id: str, path: Path) -> Iterator[RunSource]:
        """Yield the runs of a database; nothing where it is none of Trackio's.

        Args:
            id: of the database in the folder.

        Raises:
            InvalidInput: it cannot be read.
        """
        with opened(path) as database:
            if not has_columns(database, "metrics", _METRICS):
                return
            column = "run_id" if has_columns(database, "metrics", ("run_id",)) else "run_name"
            rows = database.execute(
                f"SELECT {column} FROM metrics GROUP BY {column} ORDER BY min(id)"
            ).fetchall()
        for (run,) in rows:
            yield cls(f"{id}#{text(run)}", path, column, text(run))

    def identity(self) -> RunIdentity:
        """Return name, time and settings of the run."""
        with opened(self.path) as database:
            name, created = database.execute(
                "SELECT run_name, timestamp FROM metrics "
                f"WHERE {self.column} = ? ORDER BY id LIMIT 1",
                (self.run,),
            ).fetchone() or ("", "")
            row = (
                database.execute(
                    f"SELECT config FROM configs WHERE {self.column} = ?",
                    (self.run,),
                ).fetchone()
                if has_columns(database, "configs", (self.column, "config"))
                else None
            )
        config = _document(row[0]) if row else {}
        settings = {
            str(name)[:MAX_TEXT]: str(value)[:MAX_TEXT]
            for name, value in config.items()
            if not str(name).startswith("_")
        }
        return RunIdentity(self.id, text(name) or self.run, moment(created), self.program, settings)

    def read(self, _identity: RunIdentity, place: Place) -> NewValues:
        """Return the metrics since a place; see :class:`~.records.RunSource`."""
        last, found, skipped = (place[0] if place else 0), Collected(), 0
        with opened(self.path) as database:
            for row, step, content in database.execute(
                "SELECT id, step, metrics FROM metrics "
                f"WHERE {self.column} = ? AND id > ? ORDER BY id",
                (self.run, last),
            ):
                last = max(last, row)
                metrics = _document(content)
                skipped += 0 if metrics else len(content or "")
                for name, value in numbers_in(metrics):
                    if isinstance(step, int):
                        found.add(name, step, value)
        return NewValues((last,), skipped, found.series())

    def last_written(self) -> float:
        """Return when the database, or its log, was written last."""
        return newest((self.path, self.path.with_name(self.path.name + "-wal")))


def _document(content: object) -> dict[str, object]:
    try:
        document = json.loads(content) if isinstance(content, str | bytes) else None
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
