"""Processes that are started before this one has imported what it needs itself.

A worker takes seconds to import torch. A command that will need workers starts them first, and
imports what it needs beside them; :class:`optlab.runners.worker.Worker` adopts them later. So this
module imports nothing large, and what a process executes is named by a text.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess


@dataclass(frozen=True)
class Spawned:
    """A process, and the pipes that lead to it.

    Attributes:
        pipe: duplex. beats: from which its signs of life are read. printed: what it prints; None
            where the system has no such pipes.
    """

    process: BaseProcess
    pipe: Connection
    beats: Connection
    printed: Connection | None

    def end(self, seconds: float = 0.0) -> None:
        """Close the pipes, on which a worker exits; kill the process after ``seconds``."""
        self.pipe.close()
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.beats.close()
        if self.printed is not None:
            self.printed.close()


def spawn(target: str) -> Spawned:
    """Start a process that calls a function with the other ends of the pipes.

    It is spawned, never forked, as torch's threads do not survive that. It is ended with this
    process.

    Args:
        target: ``"module:function"``; the module is imported in the new process alone.

    Raises:
        OSError: the process cannot be started.
    """
    # Spinning threads starve the window; torch reads this at its import, so it is inherited.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=True)
    beats, their_beats = context.Pipe(duplex=False)
    lent = [theirs, their_beats]
    printed: Connection | None = None
    if os.name == "posix":
        printed, their_output = context.Pipe(duplex=False)
        lent.append(their_output)
    process = context.Process(
        target=_enter, args=(target, *lent), name="optlab-worker", daemon=True
    )
    with interrupts_blocked():
        process.start()
    # Otherwise the pipes would stay open when the worker dies.
    for end in lent:
        end.close()
    return Spawned(process, ours, beats, printed)


@contextlib.contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Start processes inside with Ctrl-C blocked: the parent handles it and ends them properly."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    # It starts with the first worker, and would undo the mask.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def _enter(target: str, *ends: Connection) -> None:
    module, _, function = target.partition(":")
    getattr(importlib.import_module(module), function)(*ends)
