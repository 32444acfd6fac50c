"""One job on a cluster, seen from here: how far it is, which messages it gets, how it ends.

It follows the attempts of Dask: a job whose worker has gone is executed again, and then receives all
its messages again.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from optlab.core.errors import OptLabError
from optlab.runners.cluster import worker as cluster_worker
from optlab.runners.cluster.loop import LoopThread

_LOG = logging.getLogger(__name__)

SEND_SECONDS = 5.0
"""Time within which a worker confirms a message; then it is sent again."""
NETWORK_SECONDS = 3.0
"""Time without a report that says nothing about a worker."""
_LONGEST_LOOK = 1.0
"""Seconds that count, at most, between two looks: whoever looks may have been suspended itself."""


class ClusterError(OptLabError):
    """A cluster cannot be reached, or is lost, or has given up a job."""


class ClusterTask:
    """One job; made by :meth:`optlab.runners.cluster.connection.ClusterConnection.start`.

    Args:
        loop: in which the client runs.
        client: of Dask.
        lost: returns why the connection is lost, or "".

    Attributes:
        key: under which Dask knows it.
        deaths: addresses of the workers that have ended while they executed it.
    """

    def __init__(self, loop: LoopThread, client: Any, lost: Callable[[], str]) -> None:
        self.key = f"optlab-{uuid.uuid4().hex}"
        self.deaths: list[str] = []
        self._loop = loop
        self._client = client
        self._lost = lost
        self._future: Any = None
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._report: dict[str, Any] = {}
        self._former: set[str] = set()
        self._silence = 0.0
        self._looked_at = time.monotonic()
        self._sent = 0
        self._sending = False
        self._outcome: Callable[[], Any] | None = None

    # --- by the thread that controls the job ------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether :meth:`outcome` has something to say."""
        return self._outcome is not None

    def wait(self, seconds: float) -> None:
        """Wait for news, at most this long."""
        self._news.wait(seconds)
        self._news.clear()

    def report(self) -> dict[str, Any]:
        """Return the last report of the worker (``step``, ``steps``, ``worker``, …).

        It is empty while the job waits for a worker.
        """
        with self._lock:
            return dict(self._report)

    def send(self, messages: Sequence[str]) -> None:
        """See to it that the job receives these messages, all of it so far, in order."""
        with self._lock:
            report, first = self._report, self._sent
            if self._sending or not report or first >= len(messages):
                return
            self._sending = True
        self._loop.start(
            self._send, report["worker"], report["attempt"], first, list(messages[first:])
        )

    def cancel(self) -> None:
        """Give the job up: it is stopped, or never begun."""
        self._loop.start(self._client.cancel, [self._future])

    def outcome(self) -> Any:
        """Return the result of the job, once it has ended.

        Raises:
            ClusterError: the connection is lost, or the job was canceled.
            Exception: whatever was raised on the worker or in transit.
        """
        assert self._outcome is not None
        return self._outcome()

    def release(self) -> None:
        """Let the cluster forget the job and its result; one in progress is given up."""
        self._future.release()

    # --- by any thread ----------------------------------------------------------------------------

    def silence(self) -> float:
        """Return the seconds since the last report, as far as looks have seen them pass.

        It is 0 for a job that waits for a worker, and some seconds are granted to the network.
        """
        with self._lock:
            now = time.monotonic()
            self._silence += min(now - self._looked_at, _LONGEST_LOOK)
            self._looked_at = now
            if not self._report or self._outcome is not None:
                self._silence = 0.0
            return max(0.0, self._silence - NETWORK_SECONDS)

    # --- in the loop ------------------------------------------------------------------------------

    async def submit(self, sent: cluster_worker.Parcel) -> None:
        """Submit the job.

        Raises:
            ClusterError: the connection is lost.
        """
        if lost := self._lost():
            raise ClusterError(lost)
        self._future = self._client.submit(
            cluster_worker.execute, self.key, self._client.id, sent, key=self.key, pure=False
        )
        self._waiting = asyncio.ensure_future(self._await())

    def hear(self, report: dict[str, Any]) -> None:
        """Take a report of a worker."""
        with self._lock:
            before, attempt = self._report.get("attempt"), report["attempt"]
            if attempt in self._former:
                return
            if before not in (None, attempt):
                self._former.add(before)
                self._sent = 0
            self._report = report
            self._silence = 0.0
        self._news.set()

    def lose(self, worker: str, *, expected: bool) -> None:
        """Note that a worker has gone: a job in progress there waits for another one.

        Args:
            worker: its address.
            expected: whether it was asked to go.
        """
        with self._lock:
            if self._report.get("worker") == worker:
                if not expected:
                    self.deaths.append(worker)
                _LOG.info("%s was in progress on %s, which has gone", self.key, worker)
                self._former.add(self._report["attempt"])
                self._report, self._sent = {}, 0

    async def _await(self) -> None:
        try:
            result = await self._future
            self._end(lambda: result)
        except (asyncio.CancelledError, concurrent.futures.CancelledError) as error:
            reason = str(getattr(error, "reason", "")) or "unknown"
            self._end(lambda: self._raise_canceled(reason))
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits for it
            failure = error
            self._end(lambda: _raise(failure))

    def _end(self, outcome: Callable[[], Any]) -> None:
        with self._lock:
            self._outcome = outcome
        self._news.set()

    def _raise_canceled(self, reason: str) -> NoReturn:
        raise ClusterError(
            self._lost()
            or f"The scheduler has given up the job (reason: {reason}); start it again."
        )

    async def _send(self, worker: str, attempt: str, first: int, messages: list[str]) -> None:
        received = 0
        try:
            answers = await asyncio.wait_for(
                self._client.run(
                    cluster_worker.receive,
                    self.key,
                    attempt,
                    first,
                    messages,
                    workers=[worker],
                    on_error="ignore",
                ),
                SEND_SECONDS,
            )
            received = answers.get(worker, 0)
        except OSError as error:
            # It is sent again, to this attempt or the next.
            _LOG.info("%s on %s cannot be reached: %s", self.key, worker, error)
        finally:
            with self._lock:
                self._sending = False
                if self._report.get("attempt") == attempt:
                    self._sent = max(self._sent, received)


def _raise(error: Exception) -> NoReturn:
    raise error
