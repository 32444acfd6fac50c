"""A pool of spare workers that have imported torch already, so that a run starts at once.

A worker comes back after its job and serves the next one, unless the job failed: what an error left
behind (a broken CUDA context, say) goes with the process.
"""

from __future__ import annotations

import threading
import time

from optlab.runners.worker import Worker


class WorkerPool:
    """Any thread may use it.

    Args:
        spares: idle workers that are kept at most.
    """

    def __init__(self, spares: int = 1) -> None:
        self._spares = spares
        self._idle: list[Worker] = []
        self._lock = threading.Lock()
        self._closed = False

    def warm(self) -> None:
        """Start spare workers where there are too few; returns at once."""
        with self._lock:
            self._idle = [worker for worker in self._idle if worker.alive]
            while not self._closed and len(self._idle) < self._spares:
                self._idle.append(Worker())

    def take(self) -> Worker:
        """A worker for one job: a spare one, or else a fresh one."""
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
        return Worker()

    def give_back(self, worker: Worker) -> None:
        """The worker is ready for another job."""
        with self._lock:
            if not self._closed and worker.alive and len(self._idle) < self._spares:
                self._idle.append(worker)
                return
        worker.dismiss(1.0)

    def close(self, timeout: float = 2.0) -> None:
        """Let all spare workers end; those that have not within ``timeout`` seconds are killed.
        Safe to call twice.
        """
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        until = time.monotonic() + timeout
        for worker in idle:
            worker.dismiss(max(0.0, until - time.monotonic()))
