"""What every reader of foreign runs gives: who a run is, what it has recorded, and how it is."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from optlab.core.lazy import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SILENT_SECONDS = 30.0
"""Seconds without a sign of life after which a run does not count as running."""
MAX_TEXT = 500
"""Characters of a name or title that are kept."""
_ENDS = ("finished", "stopped", "failed")

Place: TypeAlias = tuple[int, ...]
"""Up to where a run has been read; its reader alone knows what the numbers mean. () at first."""


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
    """What a run says about itself.

    Attributes:
        id: of the run, unique in the folder that was searched. title: for people.
        created: ISO 8601, or "". source: name of the program that recorded it.
        settings: what the program noted of the settings, as text.
        host, process: where it runs. models: names of the classes of its models.
        parameters: number of weights. tensors: of all of them, in order.
    """

    id: str
    title: str
    created: str = ""
    source: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    process: int = 0
    models: tuple[str, ...] = ()
    parameters: int = 0
    tensors: tuple[TensorInfo, ...] = ()


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
        end: the place from which to go on. skipped: bytes that belong to no sound record.
        series: new values. events: new events, in order.
        restarted: whether the file was written anew, so that these values replace all before.
    """

    end: Place
    skipped: int = 0
    series: tuple[ForeignSeries, ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    restarted: bool = False


class RunSource(ABC):
    """Where a run is recorded, and how it is read from there.

    Args:
        id: of the run, unique in the folder that was searched.
        path: file or folder of the run.
    """

    program: ClassVar[str]

    def __init__(self, id: str, path: Path) -> None:
        self.id, self.path = id, path

    @abstractmethod
    def identity(self) -> RunIdentity:
        """Return what the run says about itself.

        Raises:
            InvalidInput: it cannot be read.
        """

    @abstractmethod
    def read(self, identity: RunIdentity, place: Place) -> NewValues:
        """Return what the run has recorded since a place.

        Args:
            identity: what it says about itself. place: ``end`` of the last reading, () at first.

        Raises:
            InvalidInput: it cannot be read.
        """

    def last_written(self) -> float:
        """Return when the run was written last, in seconds since 1970; 0 where that is unknown."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return 0.0

    def status(self, _identity: RunIdentity) -> str:
        """Return how a run is that does not say how it ended: ``running`` or ``recorded``."""
        recently = time.time() - self.last_written() <= SILENT_SECONDS
        return "running" if recently else "recorded"


@dataclass
class ForeignRun:
    """A run as far as it has been read.

    Attributes:
        source: where it is recorded. identity: what it says about itself.
        end: place up to which it was read.
        skipped: bytes that belong to no sound record. events: in order, without signs of life.
        state: the last sign of life, or how it ended. series: name → values of each reading.
    """

    source: RunSource
    identity: RunIdentity
    end: Place = ()
    skipped: int = 0
    events: list[Mapping[str, Any]] = field(default_factory=list)
    state: Mapping[str, Any] = field(default_factory=dict)
    series: dict[str, list[ForeignSeries]] = field(default_factory=dict)

    def add(self, new: NewValues) -> None:
        """Add what was read."""
        if new.restarted:
            self.series.clear()
            self.events.clear()
            self.skipped = 0
        self.end = new.end
        self.skipped += new.skipped
        for event in new.events:
            if event.get("kind") in ("alive", "ended"):
                self.state = {**self.state, **event}
            else:
                self.events.append(event)
        for series in new.series:
            self.series.setdefault(series.name, []).append(series)

    def read(self) -> NewValues:
        """Read what is new, add it, and return it.

        Raises:
            InvalidInput: it cannot be read.
        """
        new = self.source.read(self.identity, self.end)
        self.add(new)
        return new

    @property
    def ended(self) -> bool:
        """Whether the run has said how it ended."""
        return self.state.get("kind") == "ended"

    @property
    def status(self) -> str:
        """How it is, or how it ended: one word."""
        if self.ended:
            status = self.state.get("status")
            return status if status in _ENDS else "finished"
        return self.source.status(self.identity)

    def last(self, name: str) -> tuple[int, int, list[float]]:
        """Return number of steps of a series, and step and values of the last one.

        Raises:
            KeyError: there is no such series.
        """
        parts = self.series[name]
        count = sum(len(part.steps) for part in parts)
        return count, int(parts[-1].steps[-1]), parts[-1].values[-1].tolist()


class Collected:
    """Single values as they are read, by the name of their series."""

    def __init__(self) -> None:
        self._points: dict[str, tuple[list[int], list[float]]] = {}

    def add(self, name: str, step: int, value: float) -> None:
        """Add a value."""
        steps, values = self._points.setdefault(name[:MAX_TEXT], ([], []))
        steps.append(step)
        values.append(value)

    def series(self) -> tuple[ForeignSeries, ...]:
        """Return the series, each with all of its values in the order in which they came."""
        return tuple(
            ForeignSeries(
                name,
                (),
                np.array(steps, dtype=np.int64),
                np.array(values, dtype=np.float64)[:, None],
            )
            for name, (steps, values) in self._points.items()
        )


def text(value: object) -> str:
    """Return a text from outside, cut to a length that can be shown; "" for anything else."""
    return value[:MAX_TEXT] if isinstance(value, str) else ""


def count(value: object) -> int:
    """Return a number from outside that counts something; 0 for anything else."""
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if is_count and isinstance(value, int) and 0 <= value < 1 << 62 else 0


def moment(value: object) -> str:
    """Return a time from outside in ISO 8601, with its zone; "" for anything else."""
    try:
        when = datetime.fromisoformat(text(value))
    except ValueError:
        return ""
    return when.isoformat() if when.tzinfo is not None else ""


def number(value: object) -> float | None:
    """Return a number from outside as float; None for anything else.

    Booleans are no numbers. ``"NaN"`` and ``"Infinity"`` are, as programs write them into JSON.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    if isinstance(value, str) and value.lower() in _NOT_FINITE:
        return float(value)
    return None


_NOT_FINITE = ("nan", "inf", "-inf", "infinity", "-infinity", "+inf", "+infinity")
STEP_LIMIT = 1 << 62


def step_of(value: object) -> int | None:
    """Return a number from outside as a step; None where it is none."""
    found = number(value)
    if found is None or found != found or abs(found) >= STEP_LIMIT:
        return None
    return int(found)
