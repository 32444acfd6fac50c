"""Processes that are started before this one has imported what it needs itself.

A worker takes seconds to import torch. A command that will need workers starts them first, and
imports what it needs beside them; :class:`optlab.runners.worker.Worker` adopts them later. So this
module imports nothing large, and what a process executes is named by a text.

On Linux the first one starts a template (:mod:`optlab.core.forking`), which imports once what all of
them need. Elsewhere each is spawned: macOS has libraries that do not survive a fork, and Windows has
none.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from optlab.core.forking import Fork, Template, named, serve

FORKS = sys.platform == "linux"
"""Whether processes are forked from a template."""


@dataclass(frozen=True)
class Spawned:
    """A process, and the pipes that lead to it.

    Attributes:
        pipe: duplex. beats: from which its signs of life are read. printed: what it prints; None
            where the system has no such pipes.
    """

    process: BaseProcess | Fork
    pipe: Connection
    beats: Connection
    printed: Connection | None

    @property
    def begun(self) -> bool:
        """Whether the process is there already."""
        return not isinstance(self.process, Fork) or self.process.begun

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


def spawn(target: str, warm: str) -> Spawned:
    """Start a process that calls a function with the other ends of the pipes.

    It is not forked from this process, as torch's threads do not survive that. It is ended with
    this process.

    Args:
        target: ``"module:function"``; the module is imported in the new process alone.
        warm: the same, of a function that imports what processes of this kind need. It is called
            once, where they are forked.

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
    process: BaseProcess | Fork
    if FORKS:
        process = _forked(target, warm, lent)
    else:
        process = _started("optlab-worker", _enter, target, *lent)
    # Otherwise the pipes would stay open when the worker dies.
    for end in lent:
        end.close()
    return Spawned(process, ours, beats, printed)


def _started(name: str, target: Callable[..., object], *arguments: object) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(
        target=target, args=arguments, name=name, daemon=True
    )
    with interrupts_blocked():
        process.start()
    return process


_lock = threading.Lock()
_templates: dict[str, tuple[BaseProcess, Template]] = {}
"""What warms it → the template that is running."""


def _forked(target: str, warm: str, ends: Sequence[Connection]) -> Fork:
    with _lock:
        for _ in range(2):
            process, template = _templates.get(warm, (None, None))
            if process is None or template is None or not process.is_alive():
                ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=True)
                with theirs:
                    process = _started("optlab-template", serve, theirs, warm)
                template = Template(ours)
                _templates[warm] = process, template
            try:
                return template.fork(target, ends)
            except BrokenPipeError:
                # It ended just now.
                process.join()
        raise BrokenPipeError("The process from which workers are forked ends at once.")


def end_templates() -> None:
    """End the templates; those of their forks that are in use go on."""
    with _lock:
        for process, template in _templates.values():
            template.close()
            process.join()
        _templates.clear()


def template_ids() -> list[int]:
    """Return the process ids of the templates, which live as long as this process."""
    with _lock:
        return [process.pid or 0 for process, _ in _templates.values() if process.is_alive()]


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
    named(target)(*ends)
