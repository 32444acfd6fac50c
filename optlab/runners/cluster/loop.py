"""A thread with an event loop, in which all of Dask's client runs.

It is started and ended here, so that nothing of it is left when a connection has failed.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from optlab.core.spawning import interrupts_blocked

T = TypeVar("T")


class LoopThread:
    """The thread; the constructor starts it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main()), name="optlab-cluster", daemon=True
        )
        # Ctrl-C is the affair of the main thread, which ends the workers properly; the processes
        # that are started from this one inherit that.
        with interrupts_blocked():
            self._thread.start()
        self._ready.wait()

    def call(
        self, function: Callable[..., Awaitable[T]], *arguments: Any, seconds: float | None = None
    ) -> T:
        """Return the result of a coroutine function that is called in the thread.

        Args:
            function: to call.
            arguments: of the function.
            seconds: to wait at most; None for no limit.

        Raises:
            TimeoutError: it takes longer.
            CancelledError: the thread has ended.
            Exception: what the function raises.
        """
        future = self.start(function, *arguments)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise

    def start(
        self, function: Callable[..., Awaitable[T]], *arguments: Any
    ) -> concurrent.futures.Future[T]:
        """Call a coroutine function in the thread, and return the future of its result.

        It is canceled where the thread has ended.
        """

        async def called() -> T:
            return await function(*arguments)

        coroutine = called()
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            canceled: concurrent.futures.Future[T] = concurrent.futures.Future()
            canceled.cancel()
            return canceled

    def close(self) -> None:
        """End the thread; coroutines in progress are canceled. Safe to call twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._stop.wait()
