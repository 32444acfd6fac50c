"""Control: messages that a session reads between steps, and where they come from.

A message that changes the numbers is applied at a definite step and reported with it, so that a
replay of the log is exact.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

SHARED_PATHS = frozenset({"batches.size"})
"""Fields that can be changed during a run, but only in all runs of a population together."""


@dataclass(frozen=True)
class Pause:
    """Pause before the next step."""


@dataclass(frozen=True)
class Resume:
    """Continue after a pause."""


@dataclass(frozen=True)
class Advance:
    """Take ``steps`` steps, then pause."""

    steps: int = 1


@dataclass(frozen=True)
class SetPace:
    """Take so many steps a second at most; 0 for as many as possible.

    The numbers stay the same; time that is waited is no training time. Ranks that share the batches
    keep their own pace.
    """

    steps_per_second: float = 0.0


@dataclass(frozen=True)
class Stop:
    """End the run now and keep its current state."""


@dataclass(frozen=True)
class SetValue:
    """Change a field during the run, in one run or (None) in all.

    ``path`` is a field's path such as ``"optimizer.lr"``.
    """

    path: str
    value: float
    run: int | None = None


@dataclass(frozen=True)
class TakeSnapshot:
    """Take a snapshot of the current state."""


@dataclass(frozen=True)
class Follow:
    """Record these weights (by name) from now on; an empty tuple restores the experiment's."""

    weights: tuple[str, ...]


@dataclass(frozen=True)
class SwitchInstrument:
    """Switch an instrument on with these fields, or off (None).

    Omitted fields take their defaults. An instrument that is on already continues with the new
    fields. ``reason`` says why an instrument switched itself off; "" where the user switched it.
    """

    name: str
    values: Mapping[str, Any] | None
    reason: str = ""


Message = (
    Pause | Resume | Advance | SetPace | Stop | SetValue | TakeSnapshot | Follow | SwitchInstrument
)


class Controls(Protocol):
    """Where a session reads its messages."""

    def receive(self, step: int) -> list[Message]:
        """Return the messages to apply before the step after ``step``; never waits."""

    def wait(self, seconds: float) -> None:
        """Wait for a message, at most this long."""

    def quiet_until(self, step: int) -> float:
        """Return the first step from ``step`` on at which a message is known to come.

        Infinity where none is known: one of a user may come a few steps later than it could.
        """


class Inbox:
    """Messages from another thread; bounded, so that the oldest unread ones are dropped."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque(maxlen=1024)
        self._arrived = threading.Event()

    def put(self, message: Message) -> None:
        """Leave a message (any thread)."""
        self._messages.append(message)
        self._arrived.set()

    def waiting(self) -> bool:
        """Return whether messages have arrived (any thread)."""
        return bool(self._messages)

    def receive(self, step: int) -> list[Message]:
        """Return all messages that have arrived."""
        if not self._messages:
            return []
        self._arrived.clear()
        messages: list[Message] = []
        while self._messages:
            messages.append(self._messages.popleft())
        return messages

    def wait(self, seconds: float) -> None:
        """Wait for a message, at most this long."""
        self._arrived.wait(seconds)

    def quiet_until(self, step: int) -> float:
        """See :class:`Controls`."""
        return step if self._messages else math.inf


class Replay:
    """Messages of a log, each at the step at which it was applied; then those of ``live``."""

    def __init__(self, log: Iterable[tuple[int, Message]], live: Controls | None = None) -> None:
        self._log = deque(sorted(log, key=lambda entry: entry[0]))
        self._live = live

    def receive(self, step: int) -> list[Message]:
        """Return the messages of the log up to ``step``, then live ones."""
        messages: list[Message] = []
        while self._log and self._log[0][0] <= step:
            messages.append(self._log.popleft()[1])
        return messages + (self._live.receive(step) if self._live is not None else [])

    def wait(self, seconds: float) -> None:
        """Wait for a live message.

        Without a live source it returns at once: nothing could resume a paused session.
        """
        if self._live is not None:
            self._live.wait(seconds)

    def quiet_until(self, step: int) -> float:
        """See :class:`Controls`."""
        logged = float(self._log[0][0]) if self._log else math.inf
        return logged if self._live is None else min(logged, self._live.quiet_until(step))
