"""The writer: a thread that appends what the loop has left behind to the folder of the run.

The file is opened, appended to and closed at each write: other machines that share the folder see a
file's new content once it is closed, and a disk that hangs holds up this thread only. What cannot be
written is dropped, counted, and tried again with what comes next.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from optlab.watch.blocks import BLOCKS_FILE, SeriesPart, encode_event, encode_series
from optlab.watch.digest import Digest
from optlab.watch.failures import Failures
from optlab.watch.rows import Packed

ALIVE_SECONDS = 5.0
"""Seconds after which a run that has nothing to write says that it is alive."""
CLOSE_SECONDS = 5.0
"""Seconds for which the end of the run waits for a write that hangs."""
_PART_VALUES = 500_000
"""Values of a block, so that it stays below the largest size."""


class Writer:
    """Appends blocks to the file of a run.

    Args:
        folder: of the run.
        failures: hears what cannot be written.
        digest: sees all values before they are written.
        state: returns what the run says about itself with each sign of life.

    Attributes:
        spent: seconds of a processor that the thread has used.
        lost: number of rows that could not be written.
    """

    def __init__(
        self,
        folder: Path,
        failures: Failures,
        digest: Digest,
        state: Callable[[], Mapping[str, Any]],
    ) -> None:
        self.spent = 0.0
        self.lost = 0
        self._path = folder / BLOCKS_FILE
        self._failures = failures
        self._digest = digest
        self._state = state
        self._batches: deque[Packed] = deque()
        self._events: deque[Mapping[str, Any]] = deque()
        self._wake = threading.Event()
        self._last: Mapping[str, Any] | None = None
        self._alive_at = 0.0
        self._thread = threading.Thread(target=self._work, name="optlab-watch", daemon=True)
        self._thread.start()

    def give(self, batch: Packed) -> None:
        """Write rows, whose copies are complete."""
        self._batches.append(batch)
        self._wake.set()

    def say(self, event: Mapping[str, Any]) -> None:
        """Write an event."""
        self._events.append(event)
        self._wake.set()

    def close(self, last: Mapping[str, Any], seconds: float = CLOSE_SECONDS) -> bool:
        """Write what waits and then a last event.

        Args:
            last: the event.
            seconds: for which the end of the thread is waited for.

        Returns:
            whether it came in time.
        """
        self._last = last
        self._wake.set()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            self._wake.wait(ALIVE_SECONDS)
            self._wake.clear()
            last = self._last
            began = time.thread_time()
            try:
                self._write_all(last)
            except Exception as error:  # noqa: BLE001 - never the end of the program that is watched
                self._failures.say("writer", "Some values were not recorded", error)
            self.spent += time.thread_time() - began
            if last is not None:
                return

    def _write_all(self, last: Mapping[str, Any] | None) -> None:
        batches = [self._batches.popleft() for _ in range(len(self._batches))]
        rows = sum(len(batch.rows) for batch in batches)
        content: list[bytes] = []
        for batch in batches:
            try:
                parts, events = self._digest.add(batch)
            except Exception as error:  # noqa: BLE001 - costs these rows, and not those that follow
                self._failures.say("digest", "Some values were not recorded", error)
                self.lost += len(batch.rows)
                continue
            content += [encode_series(few) for few in _split(parts)]
            content += [encode_event(event) for event in events]
        content += [encode_event(self._events.popleft()) for _ in range(len(self._events))]
        now = time.monotonic()
        if last is not None:
            content += [encode_event(event) for event in (*self._digest.close(), last)]
        elif now >= self._alive_at:
            content.append(encode_event({"kind": "alive", **self._state()}))
            self._alive_at = now + ALIVE_SECONDS
        if content and not self._append(b"".join(content)):
            self.lost += rows

    def _append(self, content: bytes) -> bool:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        try:
            handle = os.open(self._path, flags, 0o666)
            try:
                view = memoryview(content)
                while view:
                    view = view[os.write(handle, view) :]
            finally:
                os.close(handle)
        except OSError as error:
            sentence = (
                f"{self._path} cannot be written; values are lost until it can be, and your "
                "program goes on"
            )
            self._failures.say("append", sentence, error)
            return False
        return True


def _split(parts: Sequence[SeriesPart]) -> list[list[SeriesPart]]:
    """Return parts in groups that each fit a block."""
    groups: list[list[SeriesPart]] = []
    room = 0
    for part in parts:
        rows = max(_PART_VALUES // (1 + part.values.shape[1]), 1)
        for start in range(0, len(part.steps), rows):
            piece = SeriesPart(
                part.name,
                part.steps[start : start + rows],
                part.values[start : start + rows],
                part.tensors,
                part.labels,
            )
            size = piece.steps.size + piece.values.size
            if size > room:
                groups.append([])
                room = _PART_VALUES
            groups[-1].append(piece)
            room -= size
    return groups
