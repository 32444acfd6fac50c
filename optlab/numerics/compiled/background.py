"""Sources that are compiled in a thread, while the program goes on without them.

One thread compiles one source after the other and ends with the last. It holds up nothing: when the
program ends, so does the compiler. A process that is forked meanwhile has neither the thread nor
what it was about to do, and begins anew when it asks again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from multiprocessing import util
from typing import Any, NamedTuple

from optlab.numerics.compiled.compiler import (
    Function,
    NotCompiled,
    changing,
    compiled,
    end_compilers,
)

_LOG = logging.getLogger(__name__)
_END_ROUNDS, _ROUND_SECONDS = 100, 0.05
"""How often the end of the program ends the compiler and how long it waits then, until the thread
has ended, too.
"""


class _Task(NamedTuple):
    """The arguments of :func:`~optlab.numerics.compiled.compiler.compiled`."""

    source: str
    name: str
    arguments: Sequence[Any]


_functions: dict[str, Function] = {}
_failures: dict[str, str] = {}
_waiting: dict[str, _Task] = {}
"""Source → what is to be done, or is being done."""
_threads: list[threading.Thread] = []
"""The thread, if there is one."""


def compiled_before(source: str) -> Function | None:
    """Return the function of a source that :func:`awaited` would return; begin nothing."""
    return _functions.get(source)


def awaited(source: str, name: str, arguments: Sequence[Any]) -> Function | None:
    """Return a function of a C++ source; None while it is being compiled, which begins now.

    Args:
        source: the whole source, in which the function is declared ``extern "C"``.
        name: of the function, which returns nothing.
        arguments: types of :mod:`ctypes`.

    Raises:
        NotCompiled: there is no compiler, or it has failed, which is found out once a process.
    """
    function = _functions.get(source)
    if function is None and source in _failures:
        raise NotCompiled(_failures[source])
    if function is None and source not in _waiting:
        _begin(_Task(source, name, arguments))
    return function


def wait() -> None:
    """Wait until what has been asked for is compiled, or has failed."""
    for thread in tuple(_threads):
        thread.join()


def _begin(task: _Task) -> None:
    with changing:
        if any(task.source in known for known in (_waiting, _functions, _failures)):
            return
        _waiting[task.source] = task
        if _threads:
            return
        thread = threading.Thread(target=_work, name="optlab-compiler", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # there are too many threads, or the program is ending
            _failures[task.source] = f"A compiler needs a thread: {error}."
            del _waiting[task.source]
            return
        _threads.append(thread)
    # Processes of multiprocessing end without what is registered with atexit.
    util.Finalize(None, _end, exitpriority=0)


def _work() -> None:
    """Compile what is waiting."""
    while True:
        with changing:
            task = next(iter(_waiting.values()), None)
            if task is None:
                _threads.clear()
                return
        function, failure = None, ""
        try:
            function = compiled(*task)
        except NotCompiled as error:
            failure = str(error)
        with changing:
            if _waiting.pop(task.source, None) is None:
                continue  # the program is ending
            is_news = failure not in _failures.values()
            if function is not None:
                _functions[task.source] = function
            else:
                _failures[task.source] = failure
        if failure and is_news:
            _LOG.info("steps are not compiled: %s", failure)


def _end() -> None:
    """End the compiler and the thread."""
    with changing:
        _waiting.clear()
        threads = tuple(_threads)
    for thread in threads:
        for _ in range(_END_ROUNDS):
            # It may just be about to start another one.
            end_compilers()
            thread.join(_ROUND_SECONDS)
            if not thread.is_alive():
                break


def _forget_threads() -> None:
    """Forget, in a new process, what the thread of the old one was about to do."""
    _waiting.clear()
    _threads.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
