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
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optlab.core.errors import InvalidInput
from optlab.core.lazy import numpy as np
from optlab.core.reading import open_regular, read_at_most
from optlab.watch.blocks import BLOCKS_FILE, MAX_BLOCK, RUN_FILE, VERSION, Scan, SeriesPart, scan

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_IDENTITY = 32 << 20
"""Bytes of ``run.json``: room for the names of all tensors of the largest models."""
SILENT_SECONDS = 30.0
"""Seconds without a sign of life after which a run does not count as running."""
_PIECE = 2 * MAX_BLOCK
"""Bytes that are read at once."""
_MAX_TEXT = 500
_ENDS = ("finished", "stopped", "failed")


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of a run.

    Attributes:
        name: of the parameter. shape: of it. dtype: name of its type.
        estimated: whether what a step changes in it is estimated from a part of its elements.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    estimated: bool


@dataclass(frozen=True)
class RunIdentity:
    """What ``run.json`` says.

    Attributes:
        id: of the run, the name of its folder. title: for people. created: UTC, ISO 8601.
        host, process: where it runs. models: names of the classes of its models.
        parameters: number of weights. tensors: of all of them, in order.
    """

    id: str
    title: str
    created: str
    host: str
    process: int
    models: tuple[str, ...]
    parameters: int
    tensors: tuple[TensorInfo, ...]


@dataclass(frozen=True)
class ForeignSeries:
    """Values of one series.

    Attributes:
        name: of the series. columns: names of the K values; () where K is 1.
        steps: ``[n]`` int64. values: ``[n, K]`` float64.
    """

    name: str
    columns: tuple[str, ...]
    steps: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class NewValues:
    """What a run has recorded since a place.

    Attributes:
        end: the place from which to go on. skipped: bytes that belong to no sound block.
        series: new values. events: new events, in order.
    """

    end: int
    skipped: int
    series: tuple[ForeignSeries, ...]
    events: tuple[Mapping[str, Any], ...]


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
        title=_text(document.get("title")) or folder.name,
        created=_time(document.get("created")),
        host=_text(document.get("host")),
        process=_count(document.get("process")),
        models=tuple(
            _text(model.get("class"))
            for model in _list(document.get("models"))
            if isinstance(model, dict)
        ),
        parameters=_count(document.get("parameters")),
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
            parts.setdefault((part.name[:_MAX_TEXT], columns), []).append(part)
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
    return NewValues(passed.end, passed.skipped, series, tuple(events))


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
        return tuple(label[:_MAX_TEXT] for label in part.labels)
    return () if width == 1 else tuple(str(number) for number in range(1, width + 1))


@dataclass
class WatchedRun:
    """A run as far as it has been read.

    Attributes:
        folder: of it. identity: what it says about itself. end: place up to which it was read.
        skipped: bytes that belong to no sound block. events: in order, without signs of life.
        state: the last sign of life, or how it ended. series: name → values of each reading.
    """

    folder: Path
    identity: RunIdentity
    end: int = 0
    skipped: int = 0
    events: list[Mapping[str, Any]] = field(default_factory=list)
    state: Mapping[str, Any] = field(default_factory=dict)
    series: dict[str, list[ForeignSeries]] = field(default_factory=dict)

    def read(self) -> NewValues:
        """Read what is new, add it, and return it.

        Raises:
            InvalidInput: the file cannot be read.
        """
        new = read_new(self.folder, self.identity, self.end)
        self.add(new)
        return new

    def add(self, new: NewValues) -> None:
        """Add what was read."""
        self.end = new.end
        self.skipped += new.skipped
        for event in new.events:
            if event.get("kind") in ("alive", "ended"):
                self.state = {**self.state, **event}
            else:
                self.events.append(event)
        for series in new.series:
            self.series.setdefault(series.name, []).append(series)

    def last(self, name: str) -> tuple[int, int, list[float]]:
        """Return number of steps of a series, and step and values of the last one.

        Raises:
            KeyError: there is no such series.
        """
        parts = self.series[name]
        count = sum(len(part.steps) for part in parts)
        return count, int(parts[-1].steps[-1]), parts[-1].values[-1].tolist()

    @property
    def status(self) -> str:
        """How it is: ``running``, ``silent``, ``interrupted``, or how it ended."""
        if self.state.get("kind") == "ended":
            status = self.state.get("status")
            return status if status in _ENDS else "finished"
        return _activity(self.folder / BLOCKS_FILE, self.identity)


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


def _text(value: object) -> str:
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def _count(value: object) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if is_count and isinstance(value, int) and 0 <= value < 1 << 62 else 0


def _time(value: object) -> str:
    try:
        when = datetime.fromisoformat(_text(value))
    except ValueError:
        return ""
    return when.isoformat() if when.tzinfo is not None else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _tensor(entry: object) -> TensorInfo:
    fields = entry if isinstance(entry, dict) else {}
    return TensorInfo(
        _text(fields.get("name")),
        tuple(_count(size) for size in _list(fields.get("shape"))),
        _text(fields.get("dtype")),
        fields.get("estimated") is True,
    )
