"""Runs that ``optlab.watch`` records: a folder with a folder for each of them.

A run may be written while it is read, by a program on another machine, and may end at any byte. A
reader keeps the place up to which it has read, and goes on from there. Nothing is taken for granted:
sizes, types and names are checked, and what is damaged costs itself and no more.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from optlab.core.errors import InvalidInput
from optlab.core.lazy import numpy as np
from optlab.core.reading import open_regular, read_at_most
from optlab.outside.foreign_runs.records import (
    MAX_TEXT,
    SILENT_SECONDS,
    ForeignRun,
    ForeignSeries,
    NewValues,
    Place,
    RunIdentity,
    RunSource,
    TensorInfo,
    count,
    moment,
    text,
)
from optlab.watch.blocks import BLOCKS_FILE, MAX_BLOCK, RUN_FILE, VERSION, Scan, SeriesPart, scan

MAX_IDENTITY = 32 << 20
"""Bytes of ``run.json``: room for the names of all tensors of the largest models."""
_PIECE = 2 * MAX_BLOCK
"""Bytes that are read at once."""


def is_watched_run(folder: Path) -> bool:
    """Return whether a folder is that of a run."""
    return (folder / RUN_FILE).is_file()


def find_runs(folder: Path) -> list[Path]:
    """Return the folders of the runs in a folder, the oldest first; a run's own folder is one.

    Raises:
        InvalidInput: the folder cannot be listed.
    """
    if is_watched_run(folder):
        return [folder]
    try:
        return sorted(each for each in folder.iterdir() if is_watched_run(each))
    except OSError as error:
        raise InvalidInput(
            f"{folder} cannot be read: {error.strerror}; give the folder that optlab.watch "
            "has written.",
            "folder",
        ) from error


def read_identity(folder: Path) -> RunIdentity:
    """Return what the folder of a run says about it.

    Raises:
        InvalidInput: it says something else, or cannot be read.
    """
    path = folder / RUN_FILE
    try:
        content = read_at_most(path, MAX_IDENTITY)
        document = json.loads(content) if content is not None else None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a JSON document"
        raise InvalidInput(f"{path} cannot be read: {reason}; the run is left out.") from error
    if not isinstance(document, dict):
        raise InvalidInput(f"{path} does not describe a run; the run is left out.")
    if document.get("format") != VERSION:
        raise InvalidInput(
            f"{path} has format {str(document.get('format'))[:20]}, but this OptLab reads "
            f"{VERSION}; the run is left out. Update OptLab."
        )
    return RunIdentity(
        id=folder.name,
        title=text(document.get("title")) or folder.name,
        created=moment(document.get("created")),
        source=WatchedSource.program,
        host=text(document.get("host")),
        process=count(document.get("process")),
        models=tuple(
            text(model.get("class"))
            for model in _list(document.get("models"))
            if isinstance(model, dict)
        ),
        parameters=count(document.get("parameters")),
        tensors=tuple(_tensor(entry) for entry in _list(document.get("tensors"))),
    )


def read_new(folder: Path, identity: RunIdentity, place: int = 0) -> NewValues:
    """Return what a run has recorded since a place in its file.

    Args:
        folder: of the run. identity: what it says about itself. place: ``end`` of the last reading.

    Raises:
        InvalidInput: the file cannot be read.
    """
    passed = Scan(end=place)
    parts: dict[tuple[str, tuple[str, ...]], list[SeriesPart]] = {}
    events: list[Mapping[str, Any]] = []
    for block in _blocks(folder / BLOCKS_FILE, passed):
        if block.event is not None:
            events.append(block.event)
        for part in block.series:
            columns = _columns(part, identity)
            parts.setdefault((part.name[:MAX_TEXT], columns), []).append(part)
    series = tuple(
        ForeignSeries(
            name,
            columns,
            np.concatenate([part.steps for part in some]),
            np.concatenate([part.values for part in some]),
        )
        for (name, columns), some in parts.items()
        if len({part.values.shape[1] for part in some}) == 1
    )
    return NewValues((passed.end,), passed.skipped, series, tuple(events))


def _blocks(path: Path, passed: Scan) -> Iterator[Any]:
    try:
        with open_regular(path) as file:
            while True:
                file.seek(passed.end)
                content = file.read(_PIECE)
                before = passed.end
                yield from scan(content, passed)
                if passed.end == before or len(content) < _PIECE:
                    return
    except FileNotFoundError:
        return  # nothing is recorded yet
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error


def _columns(part: SeriesPart, identity: RunIdentity) -> tuple[str, ...]:
    width = part.values.shape[1]
    if part.tensors:
        total = sum(stop - first for first, stop in part.tensors)
        if total == width and all(stop <= len(identity.tensors) for _, stop in part.tensors):
            return tuple(
                identity.tensors[number].name
                for first, stop in part.tensors
                for number in range(first, stop)
            )
    if len(part.labels) == width:
        return tuple(label[:MAX_TEXT] for label in part.labels)
    return () if width == 1 else tuple(str(number) for number in range(1, width + 1))


class WatchedSource(RunSource):
    """A run that ``optlab.watch`` records.

    Args:
        folder: of the run.
        id: of the run; by default the name of its folder.
    """

    program = "optlab.watch"

    def __init__(self, folder: Path, id: str = "") -> None:
        super().__init__(id or folder.name, folder)

    def identity(self) -> RunIdentity:
        return replace(read_identity(self.path), id=self.id)

    def read(self, identity: RunIdentity, place: Place) -> NewValues:
        return read_new(self.path, identity, place[0] if place else 0)

    def status(self, identity: RunIdentity) -> str:
        """Return how the run is: ``running``, ``silent`` or ``interrupted``."""
        return _activity(self.path / BLOCKS_FILE, identity)


def open_run(folder: Path) -> ForeignRun:
    """Return the run of a folder, of which nothing has been read but who it is.

    Raises:
        InvalidInput: it cannot be read.
    """
    source = WatchedSource(folder)
    return ForeignRun(source, source.identity())


def _activity(path: Path, identity: RunIdentity) -> str:
    if identity.host == socket.gethostname() and not _is_alive(identity.process):
        return "interrupted"
    try:
        silent = time.time() - path.stat().st_mtime
    except OSError:
        silent = 0.0
    return "running" if silent <= SILENT_SECONDS else "silent"


def _is_alive(process: int) -> bool:
    """Return whether there is a process of this number on this machine."""
    if process <= 0 or os.name != "posix":
        return process > 0
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _tensor(entry: object) -> TensorInfo:
    fields = entry if isinstance(entry, dict) else {}
    return TensorInfo(
        text(fields.get("name")),
        tuple(count(size) for size in _list(fields.get("shape"))),
        text(fields.get("dtype")),
        fields.get("estimated") is True,
    )
