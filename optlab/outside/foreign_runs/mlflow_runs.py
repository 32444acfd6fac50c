"""MLflow's runs: those of its database, and those of its older folders ``mlruns``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from optlab.core.reading import read_at_most
from optlab.outside.foreign_runs.databases import has_columns, opened
from optlab.outside.foreign_runs.growing_files import (
    key,
    newest,
    offsets,
    place_of,
    read_from,
    size_of,
)
from optlab.outside.foreign_runs.records import (
    MAX_TEXT,
    STEP_LIMIT,
    Collected,
    NewValues,
    Place,
    RunIdentity,
    RunSource,
    count,
    text,
)

DESCRIPTION = "meta.yaml"
_METRICS = ("key", "value", "step", "is_nan", "run_uuid")
_RUNS = ("run_uuid", "name", "status", "start_time", "lifecycle_stage")
_STATUSES = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "stopped"}
_NUMBERED = {"3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_MAX_DESCRIPTION = 1 << 20


def _ended(status: str) -> tuple[dict[str, str], ...]:
    """Return the event of a run that has ended; () while it goes on."""
    return ({"kind": "ended", "status": _STATUSES[status]},) if status in _STATUSES else ()


def _time(milliseconds: object) -> str:
    try:
        return datetime.fromtimestamp(count(milliseconds) / 1000, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return ""


class MlflowDatabaseSource(RunSource):
    """A run of a database.

    Args:
        id: of the run in the folder. path: of the database. run: MLflow's name of the run.
    """

    program = "MLflow"

    def __init__(self, id: str, path: Path, run: str) -> None:
        super().__init__(id, path)
        self.run = run

    @classmethod
    def found(cls, id: str, path: Path) -> Iterator[RunSource]:
        """Yield the runs of a database that are not deleted; nothing where it is none of MLflow's.

        Args:
            id: of the database in the folder.

        Raises:
            InvalidInput: it cannot be read.
        """
        with opened(path) as database:
            if not (
                has_columns(database, "runs", _RUNS) and has_columns(database, "metrics", _METRICS)
            ):
                return
            rows = database.execute(
                "SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active' ORDER BY start_time"
            ).fetchall()
        for (run,) in rows:
            yield cls(f"{id}#{text(run)}", path, text(run))

    def identity(self) -> RunIdentity:
        """Return name, time and parameters of the run."""
        with opened(self.path) as database:
            row = database.execute(
                "SELECT name, start_time FROM runs WHERE run_uuid = ?", (self.run,)
            ).fetchone()
            settings = (
                database.execute(
                    "SELECT key, value FROM params WHERE run_uuid = ?", (self.run,)
                ).fetchall()
                if has_columns(database, "params", ("key", "value", "run_uuid"))
                else []
            )
        name, started = row or ("", 0)
        return RunIdentity(
            self.id,
            text(name) or self.run,
            _time(started),
            self.program,
            {text(name): str(value)[:MAX_TEXT] for name, value in settings},
        )

    def read(self, _identity: RunIdentity, place: Place) -> NewValues:
        """Return the metrics since a place; see :class:`~.records.RunSource`."""
        last, found = (place[0] if place else 0), Collected()
        with opened(self.path) as database:
            for row, name, value, step, is_nan in database.execute(
                "SELECT rowid, key, value, step, is_nan FROM metrics "
                "WHERE run_uuid = ? AND rowid > ? ORDER BY rowid",
                (self.run, last),
            ):
                last = max(last, row)
                if isinstance(value, int | float) and isinstance(step, int):
                    found.add(str(name), step, float("nan") if is_nan else _limited(value))
            status = database.execute(
                "SELECT status FROM runs WHERE run_uuid = ?", (self.run,)
            ).fetchone()
        return NewValues((last,), 0, found.series(), _ended(text((status or ("",))[0])))

    def last_written(self) -> float:
        """Return when the database, or its log, was written last."""
        return newest((self.path, self.path.with_name(self.path.name + "-wal")))


_HUGE = 1.7976931348623157e308


def _limited(value: float) -> float:
    """Return a value of the database, in which MLflow writes the largest numbers for infinities."""
    return float("inf") if value >= _HUGE else float("-inf") if value <= -_HUGE else float(value)


class MlflowFolderSource(RunSource):
    """A run in a folder of ``mlruns``: a file a metric, to which lines are appended."""

    program = "MLflow"

    @staticmethod
    def is_run(folder: Path) -> bool:
        """Return whether a folder is that of a run."""
        return (folder / DESCRIPTION).is_file() and (folder / "metrics").is_dir()

    def files(self) -> list[Path]:
        """Return the files of the metrics."""
        return sorted(path for path in (self.path / "metrics").rglob("*") if path.is_file())

    def identity(self) -> RunIdentity:
        """Return name, time and parameters of the run."""
        described = self._description()
        settings = {}
        for path in sorted((self.path / "params").glob("*"))[:500]:
            content = read_at_most(path, _MAX_DESCRIPTION) if path.is_file() else None
            if content is not None:
                settings[path.name[:MAX_TEXT]] = content.decode("utf-8", "replace")[:MAX_TEXT]
        started = described.get("start_time", "")
        return RunIdentity(
            self.id,
            text(described.get("run_name")) or self.path.name,
            _time(int(started)) if started.isdecimal() else "",
            self.program,
            settings,
        )

    def read(self, _identity: RunIdentity, place: Place) -> NewValues:
        """Return the metrics since a place; see :class:`~.records.RunSource`."""
        seen, found, skipped = offsets(place), Collected(), 0
        for path in self.files():
            name = path.relative_to(self.path / "metrics").as_posix()
            offset = seen.get(key(name), 0)
            if size_of(path) <= offset:
                continue
            content = read_from(path, offset)
            whole = content[: content.rfind(b"\n") + 1]
            for line in whole.splitlines():
                skipped += 0 if _add_line(line, name, found) else len(line)
            seen[key(name)] = offset + len(whole)
        ended = _ended(_NUMBERED.get(self._description().get("status", ""), ""))
        return NewValues(place_of(seen), skipped, found.series(), ended)

    def _description(self) -> dict[str, str]:
        """Return the lines ``name: value`` of ``meta.yaml``, of which no value is nested."""
        content = read_at_most(self.path / DESCRIPTION, _MAX_DESCRIPTION) or b""
        lines = content.decode("utf-8", "replace").splitlines()
        pairs = (line.partition(": ") for line in lines)
        return {name: value.strip().strip("'\"") for name, _, value in pairs}

    def last_written(self) -> float:
        """Return when a metric was written last."""
        return newest(self.files())


def _add_line(line: bytes, name: str, found: Collected) -> bool:
    """Add a line ``time value step``; return whether it is one."""
    parts = line.split()
    try:
        value, step = float(parts[1]), int(parts[2]) if len(parts) > 2 else 0
    except (IndexError, ValueError):
        return False
    if abs(step) >= STEP_LIMIT:
        return False
    found.add(name, step, value)
    return True
