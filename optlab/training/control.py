"""Control: messages read between steps, and where a session takes them from.

A message that changes the numbers is applied at a definite step and reported with it, so that a
replay of the log is exact.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Pause:
    """Hold before the next step."""


@dataclass(frozen=True)
class Resume:
    """Go on."""


@dataclass(frozen=True)
class Advance:
    """Take ``steps`` steps, then hold."""

    steps: int = 1


@dataclass(frozen=True)
class Stop:
    """End the run here; it keeps what it reached."""


@dataclass(frozen=True)
class SetValue:
    """Change a field while the run goes (``path`` as ``"optimizer.lr"``), in one run or (None) in
    all.
    """

    path: str
    value: float
    run: int | None = None


@dataclass(frozen=True)
class TakeSnapshot:
    """Keep the state as it is now."""


@dataclass(frozen=True)
class Follow:
    """Record these weights (by name) from now on; an empty tuple goes back to the experiment's."""

    weights: tuple[str, ...]


@dataclass(frozen=True)
class SwitchInstrument:
    """Switch an instrument on from now on with these fields (what is left out takes its default;
    one that is on goes on with them), or off (None).
    """

    name: str
    values: Mapping[str, Any] | None


Message = Pause | Resume | Advance | Stop | SetValue | TakeSnapshot | Follow | SwitchInstrument


class Controls(Protocol):
    """Where a session reads its messages."""

    def take(self, step: int) -> list[Message]:
        """Messages to apply before the step after ``step``; never waits."""

    def wait(self, seconds: float) -> None:
        """Wait until there may be a message, at most so long."""


class Inbox:
    """Messages from another thread. Bounded: of messages that nobody reads, the oldest go."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque(maxlen=1024)
        self._arrived = threading.Event()

    def put(self, message: Message) -> None:
        """Leave a message (any thread)."""
        self._messages.append(message)
        self._arrived.set()

    def take(self, step: int) -> list[Message]:
        """All messages that have arrived."""
        if not self._messages:
            return []
        self._arrived.clear()
        found: list[Message] = []
        while self._messages:
            found.append(self._messages.popleft())
        return found

    def wait(self, seconds: float) -> None:
        """Wait for a message, at most so long."""
        self._arrived.wait(seconds)


class Replay:
    """Messages of a log, each at the step at which it was applied; then whatever ``live`` brings."""

    def __init__(self, log: Iterable[tuple[int, Message]], live: Controls | None = None) -> None:
        self._log = deque(sorted(log, key=lambda entry: entry[0]))
        self._live = live

    def take(self, step: int) -> list[Message]:
        """What the log holds up to ``step``, then live messages."""
        found: list[Message] = []
        while self._log and self._log[0][0] <= step:
            found.append(self._log.popleft()[1])
        return found + (self._live.take(step) if self._live is not None else [])

    def wait(self, seconds: float) -> None:
        """Wait for a live message; without one a held session would never go on, so there is no
        waiting.
        """
        if self._live is not None:
            self._live.wait(seconds)
