"""The outbox: events between the thread that executes a job and its reader.

It is bounded in number and in bytes. Where nothing drains it, ``put`` blocks, so that the run waits
rather than fill the memory or lose events. Once the reader has gone, nothing blocks any more: after
:meth:`Outbox.open_up`, or when the program's main thread has ended.
"""

from __future__ import annotations

import threading
from collections import deque

from optlab.training.events import Event, InstrumentImage, SeriesBlock, SnapshotTaken

BYTES = 64 << 20
"""Maximum size of the arrays of waiting events."""


class Outbox:
    """A queue into which one thread puts events and from which any thread takes them.

    Args:
        capacity: maximum number of waiting events.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._open = False
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        """Add an event; blocks while the outbox is full."""
        size = _size(event)
        with self._changed:
            # At its exit the interpreter waits for the threads of jobs; by then nothing drains.
            while (
                not self._changed.wait_for(lambda: self._open or not self._full(size), 1.0)
                and threading.main_thread().is_alive()
            ):
                pass
            self._events.append(event)
            self._bytes += size
            self._changed.notify_all()

    def _full(self, size: int) -> bool:
        return len(self._events) >= self._capacity or (
            bool(self._events) and self._bytes + size > BYTES
        )

    def drain(self) -> list[Event]:
        """Return all waiting events, without blocking."""
        with self._changed:
            events = list(self._events)
            self._events.clear()
            self._bytes = 0
            self._changed.notify_all()
        return events

    def wait(self, timeout: float | None) -> bool:
        """Wait until there are events or the outbox is closed, and return whether that is so.

        Args:
            timeout: seconds to wait at most; None for no limit.
        """
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._events) or self._closed, timeout)

    def open_up(self) -> None:
        """Let :meth:`put` never block from now on."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def close(self) -> None:
        """Announce that there will be no more events."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _size(event: Event) -> int:
    if isinstance(event, SeriesBlock):
        return sum(series.steps.nbytes + series.values.nbytes for series in event.series.values())
    if isinstance(event, SnapshotTaken):
        return event.snapshot.theta.nbytes + sum(
            value.nbytes for value in event.snapshot.state.values()
        )
    if isinstance(event, InstrumentImage):
        return sum(values.nbytes for values in event.arrays.values())
    return 0
