"""The runner that trains a run by several processes, each on its share of every batch."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from optlab.core.spawning import interrupts_blocked
from optlab.runners import output
from optlab.runners.heartbeat import HeartbeatMonitor
from optlab.runners.jobs import Job, TrainJob, own_parts, unexpected
from optlab.runners.notices import WorkerOutput
from optlab.runners.ranks.process import LaunchFailed, RankDone, RankEnds, RankReady, launch
from optlab.runners.runner import RunnerName
from optlab.runners.worker import is_suspended
from optlab.training.control import Inbox
from optlab.training.events import Event, SessionEnded, SessionFailed

_LOG = logging.getLogger(__name__)
_LISTEN_SECONDS = 0.02
"""Maximum delay of a control message while the ranks send no events."""
_STARTING_SECONDS = 60.0
"""Patience with a rank that has not started yet: the launcher starts first."""
_QUIET_TRACKER = "ignore:resource_tracker:UserWarning"
_END_SECONDS = 10.0
"""How long the launcher may take to end the other ranks once one has failed; then it is killed."""


class RanksRunner:
    """Executes a training job on this machine by ranks that torch's elastic launcher starts.

    Args:
        count: number of ranks.
    """

    name: RunnerName = "process"

    def __init__(self, count: int) -> None:
        self._count = count
        self._launch: _Launch | None = None
        self._killed = False
        self._lock = threading.Lock()

    def events(self, job: Job, inbox: Inbox) -> Iterator[Event]:
        """See :class:`~optlab.runners.runner.Runner`."""
        assert isinstance(job, TrainJob), "ranks share nothing but training"
        try:
            with self._lock:
                self._launch = launched = _Launch(self._count)
                if self._killed:
                    launched.kill()
        except OSError as error:
            yield unexpected(error)
            return
        try:
            launched.send(job)
            ended = False
            for event in launched.events(inbox):
                ended = ended or isinstance(event, SessionEnded)
                yield event
            failure = launched.failure(own_parts(job))
            # What happens to a rank after the last step does not concern the run.
            if failure is not None and not ended:
                if not self._killed:
                    _LOG.warning("a shared run failed: %s", failure.message)
                yield failure
        finally:
            launched.close()
            with self._lock:
                self._launch = None

    def kill(self) -> None:
        """Kill the launcher and the ranks, or those that are being started (any thread)."""
        with self._lock:
            self._killed = True
            if self._launch is not None:
                self._launch.kill()

    def silence(self) -> float:
        """Return the seconds since the last sign of life of the rank that is silent longest."""
        launched = self._launch
        return launched.silence() if launched is not None else 0.0

    def suspended(self) -> str:
        """See :class:`~optlab.runners.runner.Runner`."""
        launched = self._launch
        pids = launched.suspended() if launched is not None else []
        return f"kill -CONT {' '.join(map(str, pids))} lets it continue" if pids else ""


class _Launch:
    """The parent's end of a launcher and its ranks; the constructor starts the launcher.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, count: int) -> None:
        # Spinning threads starve the window; torch reads this at its import, so it is inherited.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        context = multiprocessing.get_context("spawn")
        self._pipes: dict[Connection, int] = {}
        self._monitors: list[HeartbeatMonitor] = []
        lent: list[Any] = []
        for rank in range(count):
            ours, theirs = context.Pipe(duplex=True)
            beats, their_beats = context.Pipe(duplex=False)
            self._pipes[ours] = rank
            self._monitors.append(
                HeartbeatMonitor(beats, partial(self._rank_suspended, rank), _STARTING_SECONDS)
            )
            lent.append(RankEnds(theirs, their_beats))
        self._first = next(iter(self._pipes))
        self._report, report = context.Pipe(duplex=False)
        self._output: output.OutputPipe | None = None
        printed: Connection | None = None
        if os.name == "posix":
            reader, printed = context.Pipe(duplex=False)
            self._output = output.OutputPipe(reader)
        self._printed = output.JobOutput()
        self._pids: dict[int, int] = {}
        self._done: dict[int, RankDone] = {}
        self._reported: LaunchFailed | None = None
        self._folder = tempfile.mkdtemp(prefix="optlab-ranks-")
        self._process = context.Process(
            target=launch,
            args=(tuple(lent), report, printed, self._folder),
            name="optlab-launcher",
        )
        # Of a launcher that was killed the system's semaphores are left, which are cleaned up with a
        # warning on standard error.
        if _QUIET_TRACKER not in sys.warnoptions:
            sys.warnoptions.append(_QUIET_TRACKER)
        with interrupts_blocked():
            self._process.start()
        # Otherwise the pipes would stay open when the ranks die.
        for end in (*lent, report, *([printed] if printed is not None else [])):
            end.close()

    def send(self, what: Any) -> None:
        """Send the first rank a job or a message; whether it has ended is seen elsewhere."""
        with contextlib.suppress(OSError):
            self._first.send(what)

    def events(self, inbox: Inbox) -> Iterator[Event]:
        """Yield the events of the first rank, without a failure, until the launcher has ended."""
        give_up: float | None = None
        while self._process.is_alive():
            for message in inbox.receive(0):
                self.send(message)
            yield from self._arrived(_LISTEN_SECONDS)
            if len(self._done) == len(self._monitors) and not self._failing:
                # Nothing is left to do but to leave their interpreters, which takes a while.
                self._process.terminate()
                self._process.join(_END_SECONDS)
                break
            if self._failing:
                give_up = give_up or time.monotonic() + _END_SECONDS
                if time.monotonic() > give_up:
                    self.kill()
        while any(pipe.poll(0) for pipe in self._pipes):
            yield from self._arrived(0.0)
        with contextlib.suppress(EOFError, OSError):
            if self._report.poll(0):
                self._reported = self._report.recv()
        text = ""
        while self._output is not None and (data := self._output.read()):
            text += self._printed.feed(data)
        yield from _words(text + self._printed.finish())

    def _arrived(self, seconds: float) -> Iterator[Event]:
        """Yield what the ranks have sent, and wait for it so many seconds at most."""
        sources: list[Any] = [*self._pipes, self._process.sentinel]
        if self._output is not None and self._output.pipe is not None:
            sources.append(self._output.pipe)
        ready = wait(sources, seconds)
        for pipe in [pipe for pipe in self._pipes if pipe in ready]:
            yield from self._received(pipe)
        if self._output is not None:
            yield from _words(self._printed.feed(self._output.read()))

    @property
    def _failing(self) -> bool:
        return any(done.failure is not None for done in self._done.values())

    def _received(self, pipe: Connection) -> Iterator[Event]:
        rank = self._pipes[pipe]
        try:
            what = pipe.recv()
        except (EOFError, OSError):
            del self._pipes[pipe]
            pipe.close()
            return
        if isinstance(what, RankReady):
            self._pids[rank] = what.pid
        elif isinstance(what, RankDone):
            self._done[rank] = what
        else:
            yield what

    def failure(self, parts: tuple[str, ...]) -> SessionFailed | None:
        """Return how the run failed, once all has ended; None where it did not.

        Args:
            parts: that execute code of the user's.
        """
        for done in self._done.values():
            if done.failure is not None and not done.parted:
                return done.failure
        whose = f" It executed code of your own ({', '.join(parts)})." if parts else ""
        if len(self._done) == len(self._monitors) and not self._failing:
            return None
        resume = f"{whose} The run can be resumed from its last snapshot."
        if self._reported is None:
            return SessionFailed(f"The launcher of the ranks was ended, and they with it.{resume}")
        for rank, code in self._reported.codes.items():
            return SessionFailed(
                f"Rank {rank} of {len(self._monitors)}{self._ended(rank, code)}. The other ranks "
                f"cannot go on without it and were ended.{resume}"
            )
        if self._reported.problem:
            return SessionFailed(
                f"The launcher of the ranks has failed ({self._reported.problem}).{resume}"
            )
        lost = [done.failure for done in self._done.values() if done.failure is not None]
        return lost[0] if lost else None

    def _ended(self, rank: int, code: int) -> str:
        which = f" (process {self._pids[rank]})" if rank in self._pids else ""
        if code >= 0:
            return f"{which} ended with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "unknown"
        why = "; the system does this when memory runs out" if name == "SIGKILL" else ""
        return f"{which} was killed by signal {-code}, {name}{why}"

    def silence(self) -> float:
        """Return the seconds since the last sign of life of the rank that is silent longest.

        A rank that has done its job owes none.
        """
        silent = [monitor.silence() for monitor in self._monitors]
        return max(
            (seconds for rank, seconds in enumerate(silent) if rank not in self._done), default=0.0
        )

    def suspended(self) -> list[int]:
        """Return the processes of ranks that are suspended."""
        launcher = self._process.pid or 0
        return [pid for pid in (launcher, *self._pids.values()) if is_suspended(pid)]

    def _rank_suspended(self, rank: int) -> bool:
        """Return whether a rank is suspended, or before it is known, its launcher."""
        return is_suspended(self._pids.get(rank) or self._process.pid or 0)

    def kill(self) -> None:
        """Kill the launcher and the ranks, even if they are suspended (any thread)."""
        # A group of its own: see launch.
        if self._process.pid is not None and hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def close(self) -> None:
        """Close the pipes, so that the ranks end, and wait until nothing is left."""
        for pipe in self._pipes:
            pipe.close()
        self._pipes = {}
        self._process.join(_END_SECONDS)
        if self._process.exitcode != 0:
            # Ranks may have outlived their launcher.
            self.kill()
            self._process.join()
        for monitor in self._monitors:
            monitor.close()
        self._report.close()
        if self._output is not None:
            self._output.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _words(text: str) -> Iterator[WorkerOutput]:
    if text:
        yield WorkerOutput(0.0, text)
