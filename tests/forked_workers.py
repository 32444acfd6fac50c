"""Workers that are forked from a process that has imported torch.

A spawned worker imports torch first, which takes two seconds of a core, and hundreds of tests start
one. How a worker is spawned is what the tests of the runners and of the installed commands are about.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection
from typing import Any

import pytest

from optlab.core import spawning

_enter = spawning._enter
_PRELOADED = ["torch", "optlab.runners.worker", "optlab.runners.train", "optlab.experiment"]


class _Forked:
    """In place of ``multiprocessing`` in :mod:`optlab.core.spawning`."""

    def get_context(self, _method: str) -> _Context:
        """Return the context whose processes are forked by a server."""
        return _Context()


class _Context:
    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_PRELOADED)
        self.Pipe = self._context.Pipe

    def Process(self, *, target: Any, args: tuple[Any, ...], **options: Any) -> Any:
        assert target is _enter, "only workers are forked"
        return self._context.Process(target=enter, args=(dict(os.environ), *args), **options)


def enter(environment: dict[str, str], target: str, *ends: Connection) -> None:
    """Begin as a spawned process does, which has the environment of its parent."""
    os.environ.clear()
    os.environ.update(environment)
    _enter(target, *ends)


def fork_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the workers of this process, rather than spawn them, until ``monkeypatch`` is undone."""
    monkeypatch.setattr(spawning, "multiprocessing", _Forked())
