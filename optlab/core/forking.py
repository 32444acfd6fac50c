"""Processes that are forked from one that has imported what they need.

Importing torch takes more than a second of a core, and a worker needs it before anything else. On
Linux one process, the *template*, imports it, executes nothing else and starts no thread; each worker
is a fork of it and begins within hundredths of a second. A fork is asked for without waiting, while
the template still imports, too. The template sleeps until it is asked, and ends with its parent.

What a template could hand on wrongly, its forks get from the parent: environment, folder, module
path. NumPy's global random numbers begin anew in each, as Python's do by themselves.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import stat
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import NamedTuple, NoReturn

_MOST_ENDS = 8
"""Pipes of a fork, at most."""


@dataclass(frozen=True)
class _Request:
    """What a fork begins with: ``target`` is called, as ``"module:function"``, with the pipes."""

    number: int
    target: str
    environment: dict[str, str]
    folder: str | None
    path: list[str]


@dataclass(frozen=True)
class _Kill:
    """Asks for the end of a fork whose process id the parent does not know yet."""

    number: int


class Fork:
    """The parent's end of a forked process, as :class:`multiprocessing.Process` has it (any thread).

    Args:
        status: from which its process id and, when it has ended, its exit code are read.
        kill: asks the template to kill it.
    """

    def __init__(self, status: Connection, kill: Callable[[], None]) -> None:
        self._status = status
        self._kill_early = kill
        self._lock = threading.Lock()
        self._ended = False
        self._pid: int | None = None
        self._exitcode: int | None = None

    @property
    def begun(self) -> bool:
        """Whether the process is there; it is not while the template imports."""
        self._read()
        return self._pid is not None

    @property
    def pid(self) -> int | None:
        """The process id, as soon as the process is there; None for one that never was."""
        while not self.begun and self.is_alive():
            wait([self._status])
        return self._pid

    @property
    def exitcode(self) -> int | None:
        """The exit code, negative for a signal; None while it is running, or if it is not known."""
        self._read()
        return self._exitcode

    def is_alive(self) -> bool:
        """Return whether it is running or about to."""
        self._read()
        return not self._ended

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended.

        Args:
            timeout: seconds to wait at most; None for no limit.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.is_alive():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0.0:
                return
            wait([self._status], left)

    def kill(self) -> None:
        """Kill it; it counts as ended at once where it has not begun."""
        self._read()
        with self._lock:
            if self._ended:
                return
            if self._pid is None:
                self._ended = True
        # A template that is gone has forked nothing, and another process may be gone, too.
        with contextlib.suppress(OSError):
            if self._pid is None:
                self._kill_early()
            else:
                os.kill(self._pid, signal.SIGKILL)

    def _read(self) -> None:
        """Read what has been said of it."""
        with self._lock:
            try:
                while not self._ended and self._status.poll(0):
                    if self._pid is None:
                        self._pid = self._status.recv()
                    else:
                        self._exitcode = self._status.recv()
                        self._ended = True
            except (EOFError, OSError):
                self._ended = True


class Template:
    """The parent's end of the process from which others are forked.

    Args:
        control: to the process, which executes :func:`serve`.
    """

    def __init__(self, control: Connection) -> None:
        self._control = control
        self._lock = threading.Lock()
        self._asked = 0

    def fork(self, target: str, ends: Sequence[Connection]) -> Fork:
        """Ask for a process that calls ``"module:function"`` with the pipes, and return at once.

        Raises:
            OSError: the template has ended.
        """
        folder: str | None = None
        with contextlib.suppress(OSError):  # it has been deleted
            folder = os.getcwd()
        status, theirs = Pipe(duplex=False)
        with theirs, self._lock:
            self._asked += 1
            number = self._asked
            self._control.send(_Request(number, target, dict(os.environ), folder, list(sys.path)))
            with socket.socket(fileno=os.dup(self._control.fileno())) as line:
                socket.send_fds(line, [b"f"], [theirs.fileno(), *(end.fileno() for end in ends)])
        return Fork(status, lambda: self._kill(number))

    def close(self) -> None:
        """Let the template end."""
        with self._lock:
            self._control.close()

    def _kill(self, number: int) -> None:
        with self._lock:
            self._control.send(_Kill(number))


# --- in the template -----------------------------------------------------------------------------


def serve(control: Connection, warm: str) -> None:
    """Fork a process at each request, until the parent closes the pipe.

    Args:
        warm: ``"module:function"`` that imports what the processes need; it starts no thread.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Standard output is the command's, which may owe one JSON document to a program.
    os.dup2(2, 1)
    # Searching for garbage takes a tenth of the time of an import, which leaves hardly any.
    gc.disable()
    named(warm)()
    # What is there now is never collected, so that the forks go on sharing its memory.
    gc.freeze()
    gc.enable()
    _Server(control).serve()


class _Status(NamedTuple):
    """What the template keeps of a fork: its number, and the line on which it reports its end."""

    number: int
    line: Connection


class _Server:
    """Forks processes, and reports how they end."""

    def __init__(self, control: Connection) -> None:
        self._control = control
        self._forks: dict[int, _Status] = {}
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        # Without a handler, the end of a fork would not wake this process.
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Do what is asked for, until the parent closes the pipe."""
        while True:
            ready = wait([self._control, self._woken])
            if self._woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 4096)
                self._report_ended()
            if self._control in ready:
                try:
                    request: _Request | _Kill = self._control.recv()
                    fds = _fds(self._control) if isinstance(request, _Request) else []
                except (EOFError, OSError):
                    return
                if isinstance(request, _Request):
                    self._fork(request, fds)
                else:
                    self._kill(request.number)

    def _fork(self, request: _Request, fds: Sequence[int]) -> None:
        line = Connection(fds[0], readable=False)
        try:
            pid = os.fork()
        except OSError as error:
            print(f"A worker process cannot be started: {error}", file=sys.stderr, flush=True)
            line.close()
        else:
            if pid == 0:
                self._leave()
                line.close()
                _begin(request, fds[1:])
            self._forks[pid] = _Status(request.number, line)
            _say(line, pid)
        for fd in fds[1:]:
            os.close(fd)

    def _leave(self) -> None:
        """Close in a fork what belongs to the template."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for one in (self._control, *(status.line for status in self._forks.values())):
            one.close()
        os.close(self._woken)
        os.close(self._waker)

    def _kill(self, number: int) -> None:
        for pid, status in self._forks.items():
            if status.number == number:
                os.kill(pid, signal.SIGKILL)

    def _report_ended(self) -> None:
        while self._forks:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with self._forks.pop(pid).line as line:
                _say(line, os.waitstatus_to_exitcode(status))


def _fds(control: Connection) -> list[int]:
    """Return the pipes that come with a request."""
    with socket.socket(fileno=os.dup(control.fileno())) as line:
        _, fds, _, _ = socket.recv_fds(line, 1, _MOST_ENDS)
    if not fds:
        raise EOFError
    return fds


def _say(line: Connection, number: int) -> None:
    with contextlib.suppress(OSError):  # the parent has lost its interest
        line.send(number)


def _begin(request: _Request, ends: Sequence[int]) -> NoReturn:
    """Do in a fork what was asked for, as a process that is spawned would do it."""
    code = 1
    try:
        os.environ.clear()
        os.environ.update(request.environment)
        sys.path[:] = request.path
        if request.folder is not None:
            os.chdir(request.folder)
        if "numpy.random" in sys.modules:
            sys.modules["numpy.random"].seed()
        named(request.target)(*map(_connection, ends))
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - nothing of the template may go on in a fork
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _connection(fd: int) -> Connection:
    """Return a pipe of the kind that it has: a socket goes both ways, others are written to."""
    return Connection(fd, readable=stat.S_ISSOCK(os.fstat(fd).st_mode))


def named(function: str) -> Callable[..., object]:
    """Return the function of the name ``"module:function"``."""
    module, _, name = function.partition(":")
    found: Callable[..., object] = getattr(importlib.import_module(module), name)
    return found
