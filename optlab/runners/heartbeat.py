"""Signs of life of a worker process.

A thread beside the worker's job sends a byte twice a second. It stops when the process is suspended,
or when code keeps the interpreter to itself; it does not when a step merely takes long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

BEAT_SECONDS = 0.5
"""Time between two signs of life."""
STARTING, READY = b"s", b"r"
"""Signs of a worker that still imports its libraries, and of one that has done so."""
STARTING_SECONDS = 16.0
"""Additional patience with a worker that starts: while a library is loaded, nothing else runs."""
_LONGEST_LOOK = 1.0
"""Seconds that count, at most, between two looks: whoever looks may have been suspended itself."""


class Heartbeat:
    """The worker's end: sends signs of life until the process ends."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sign = STARTING
        threading.Thread(target=self._beat, name="optlab-heartbeat", daemon=True).start()

    def ready(self) -> None:
        """Say now and from now on that the libraries are imported."""
        self._sign = READY
        self._send()

    def _beat(self) -> None:
        while self._send():
            time.sleep(BEAT_SECONDS)

    def _send(self) -> bool:
        """Send a sign, which is a single write; return whether there is anyone to read it."""
        try:
            self._pipe.send_bytes(self._sign)
        except OSError:
            # The parent has gone; the listener ends the process.
            return False
        return True


class HeartbeatMonitor:
    """The parent's end, for one thread at a time that looks again and again.

    Args:
        suspended: says whether the process is suspended, for which there is no patience.
        patience: additional patience, in seconds, until the first sign of life.
    """

    def __init__(
        self,
        pipe: Connection,
        suspended: Callable[[], bool],
        patience: float = STARTING_SECONDS,
    ) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._suspended = suspended
        self._patience = patience
        self._silence = 0.0
        self._looked_at = time.monotonic()

    def silence(self) -> float:
        """Return the seconds since the last sign of life, as far as looks have seen them pass.

        Time for which nobody looked counts only in part, and a worker that starts has more time,
        unless it is suspended. The silence of one that has ended, which is noticed elsewhere, lasts
        as long as it did.
        """
        with self._lock:
            now = time.monotonic()
            passed = min(now - self._looked_at, _LONGEST_LOOK)
            self._looked_at = now
            self._silence += passed
            try:
                while self._pipe.poll(0):
                    starting = self._pipe.recv_bytes() == STARTING
                    self._patience = STARTING_SECONDS if starting else 0.0
                    self._silence = 0.0
            except (EOFError, OSError):
                self._silence -= passed
            patience = self._patience
            if patience and self._silence > _LONGEST_LOOK and self._suspended():
                patience = 0.0
            return max(self._silence - patience, 0.0)

    def close(self) -> None:
        """Close the pipe."""
        with self._lock:
            self._pipe.close()
