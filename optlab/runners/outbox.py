"""The outbox: events on their way from the thread that owns a run to whoever looks at it.

It is bounded in number and in bytes. Where nobody takes what it holds, putting waits, so the run
stands still rather than fill the memory or lose something. Once the reader has gone, nothing waits
any more: when :meth:`Outbox.open_up` says so, or when the program's main thread has ended.
"""

from __future__ import annotations

import threading
from collections import deque

from optlab.training.events import Event, InstrumentImage, SeriesBlock, SnapshotTaken

BYTES = 64 << 20
"""What the arrays of waiting events may take."""


class Outbox:
    """One thread puts, any thread takes.

    Args:
        capacity: events that may wait.
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
        """Leave an event; waits while the box is full."""
        size = _size(event)
        with self._changed:
            # The interpreter waits at its end for threads that own runs; by then there is nobody
            # left to drain.
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
        """All events that wait; never waits itself."""
        with self._changed:
            found = list(self._events)
            self._events.clear()
            self._bytes = 0
            self._changed.notify_all()
        return found

    def wait(self, timeout: float | None) -> bool:
        """Wait until there are events or no more will come; whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._events) or self._closed, timeout)

    def open_up(self) -> None:
        """From now on nothing that is put waits for room."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def close(self) -> None:
        """No more will come."""
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
