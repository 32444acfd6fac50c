"""A pool of spare workers that have already imported torch, so that a run starts at once.

A worker returns after its job and serves the next one, unless the job failed: what an error left
behind (a broken CUDA context, for example) ends with the process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from optlab.core.spawning import Spawned
from optlab.runners.worker import Worker


class WorkerPool:
    """Spare workers, for use from any thread.

    Args:
        spares: maximum number of idle workers.
        spawned: processes to begin with, which belong to the pool from now on.
    """

    def __init__(self, spares: int = 1, spawned: Sequence[Spawned] = ()) -> None:
        self._spares = spares
        self._idle = [Worker(process) for process in spawned[:spares]]
        for process in spawned[spares:]:
            process.end()
        self._lock = threading.Lock()
        self._closed = False

    def warm(self) -> None:
        """Start spare workers where there are too few, without waiting for them."""
        with self._lock:
            self._idle = [worker for worker in self._idle if worker.alive]
            while not self._closed and len(self._idle) < self._spares:
                self._idle.append(Worker())

    def acquire(self) -> Worker:
        """Return a worker for one job: a spare one, or else a new one.

        Raises:
            OSError: a process cannot be started.
        """
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
        return Worker()

    def give_back(self, worker: Worker) -> None:
        """Return a worker that is ready for another job."""
        with self._lock:
            if not self._closed and worker.alive and len(self._idle) < self._spares:
                self._idle.append(worker)
                return
        worker.dismiss(1.0)

    def close(self, timeout: float = 2.0) -> None:
        """End all spare workers. Safe to call twice.

        Args:
            timeout: seconds after which those that have not ended are killed.
        """
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        deadline = time.monotonic() + timeout
        for worker in idle:
            worker.dismiss(max(0.0, deadline - time.monotonic()))
