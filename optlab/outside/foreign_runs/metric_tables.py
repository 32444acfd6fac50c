"""Metrics in text files: tables as Lightning's ``metrics.csv``, and JSON lines."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

from optlab.core.reading import open_regular
from optlab.outside.foreign_runs.growing_files import key, read_from, size_of
from optlab.outside.foreign_runs.nested import numbers_in, step_in, step_name
from optlab.outside.foreign_runs.records import (
    SILENT_SECONDS,
    Collected,
    NewValues,
    Place,
    RunIdentity,
    RunSource,
    step_of,
)

TABLES = (".csv", ".tsv")
LINES = (".jsonl", ".ndjson")
_MAX_HEADER = 1 << 20


def _first_line(path: Path) -> bytes:
    """Return the first line of a file; b"" where it is not there, not complete, or too long."""
    try:
        with open_regular(path) as file:
            line = file.readline(_MAX_HEADER)
    except (OSError, ValueError):
        return b""
    return line[:-1] if line.endswith(b"\n") else b""


class _TextSource(RunSource):
    """A file of lines to which lines are appended."""

    def identity(self) -> RunIdentity:
        """Return the title of the run: the file says no more."""
        return RunIdentity(self.id, self.id, "", self.program)

    def _lines(self, offset: int) -> tuple[list[bytes], int]:
        """Return the complete lines from an offset on, and the offset after them."""
        content = read_from(self.path, offset)
        complete = content.rfind(b"\n") + 1
        if complete < len(content) and time.time() - self.last_written() > SILENT_SECONDS:
            complete = len(content)  # a last line without an end, of a program that is gone
        return content[:complete].splitlines(), offset + complete


class TableSource(_TextSource):
    """A table with a header, in which a column counts the steps."""

    program = "CSV"

    @staticmethod
    def is_run(path: Path) -> bool:
        """Return whether a file is a table of metrics: one of its columns counts steps."""
        names = _cells(_first_line(path))
        return len(names) > 1 and step_name(names) is not None

    def read(self, _identity: RunIdentity, place: Place) -> NewValues:
        """Return the rows since a place; see :class:`~.records.RunSource`.

        Lightning writes the file anew when a column is added: everything is read again then.
        """
        head = _first_line(self.path)
        check, offset = place if len(place) == 2 else (0, 0)
        mark = key(head.decode("utf-8", "replace"))
        restarted = bool(place) and (check != mark or size_of(self.path) < offset)
        if restarted or not place:
            offset = len(head) + 1
        names = _cells(head)
        counted = step_name(names)
        lines, end = self._lines(offset)
        found, skipped = Collected(), 0
        for line in lines:
            cells = dict(zip(names, _cells(line, head), strict=False))
            step = None if counted is None else step_of(_number(cells.get(counted, "")))
            if step is None:
                skipped += len(line)
                continue
            for name, cell in cells.items():
                value = None if name == counted else _number(cell)
                if value is not None:
                    found.add(name, step, value)
        return NewValues((mark, end), skipped, found.series(), (), restarted)


def _cells(line: bytes, head: bytes = b"") -> list[str]:
    """Return the cells of a line, separated as in the header."""
    first = (head or line).decode("utf-8-sig", "replace")
    separator = max(",;\t", key=first.count)
    try:
        rows = list(csv.reader([line.decode("utf-8-sig", "replace")], delimiter=separator))
    except csv.Error:
        return []
    return [cell.strip() for cell in rows[0]] if rows else []


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


class LinesSource(_TextSource):
    """A file with a JSON object a line."""

    program = "JSON lines"

    @staticmethod
    def is_run(path: Path) -> bool:
        """Return whether a file is one of metrics: its first line is an object with numbers."""
        return any(True for _ in numbers_in(_object(_first_line(path))))

    def read(self, _identity: RunIdentity, place: Place) -> NewValues:
        """Return the lines since a place; see :class:`~.records.RunSource`."""
        offset, count = place if len(place) == 2 else (0, 0)
        restarted = size_of(self.path) < offset
        if restarted:
            offset = count = 0
        lines, end = self._lines(offset)
        found, skipped = Collected(), 0
        for line in lines:
            count += 1
            document = _object(line)
            if not document:
                skipped += len(line)
                continue
            name, step = step_in(document) or ("", count)
            for series, value in numbers_in(document):
                if series != name:
                    found.add(series, step, value)
        return NewValues((end, count), skipped, found.series(), (), restarted)


def _object(line: bytes) -> dict[str, object]:
    try:
        document = json.loads(line) if line.strip() else None
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
