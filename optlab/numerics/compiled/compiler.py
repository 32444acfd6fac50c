"""The C++ compiler of this machine, and functions that it made."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from optlab.core.errors import OptLabError

_NAMES = ("c++", "g++", "clang++")
_FLAGS = (
    *("-std=c++17", "-O3", "-shared", "-fPIC"),
    # Nobody reads errno or traps, and with them square roots and comparisons are not vectorized.
    *("-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd"),
)
_NATIVE = "-march=native"
_SECONDS = 120.0
"""After which a compiler is given up."""

Function = Callable[..., None]
_Key = tuple[str, bool, tuple[str, ...]]
"""Source, whether operations are contracted, command of the compiler."""

changing = threading.RLock()
"""Held by whoever changes what this package knows of sources or starts a compiler, and by a thread
that forks: the new process finds nothing half changed, and keeps no lock and no end of a pipe of a
thread that it does not have.
"""
_libraries: dict[_Key, ctypes.CDLL] = {}
_locks: dict[_Key, threading.Lock] = {}
"""Held while a source is compiled, so that others wait for it."""
_running: set[subprocess.Popen[bytes]] = set()


class NotCompiled(OptLabError, RuntimeError):
    """A source cannot be compiled here; the message says why."""


def compiler() -> list[str]:
    """Return the command of the C++ compiler: that of the variable ``CXX``, or a usual one.

    Raises:
        NotCompiled: there is none.
    """
    named = os.environ.get("CXX", "").strip()
    if named:
        command = shlex.split(named)
        if shutil.which(command[0]) is None:
            raise NotCompiled(f"The variable CXX names {command[0]}, which is not an executable.")
        return command
    for name in _NAMES:
        if shutil.which(name) is not None:
            return [name]
    raise NotCompiled(
        "No C++ compiler was found: install GCC or Clang, or name one in the variable CXX."
    )


def has_compiler() -> bool:
    """Return whether there is a C++ compiler."""
    try:
        compiler()
    except NotCompiled:
        return False
    return True


def compiled(
    source: str, name: str, arguments: Sequence[Any], *, contracts: bool = False
) -> Function:
    """Return a function of a C++ source.

    Args:
        source: the whole source, in which the function is declared ``extern "C"``.
        name: of the function, which returns nothing.
        arguments: types of :mod:`ctypes`.
        contracts: whether a product and a sum may be one operation, which rounds once. Otherwise
            each operation rounds by itself, as in torch.

    The same source is compiled once a process. The function releases the interpreter's lock.

    Raises:
        NotCompiled: there is no compiler, or it does not compile the source.
    """
    key: _Key = source, contracts, tuple(compiler())
    with changing:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        if key not in _libraries:
            _libraries[key] = _library(*key)
    function: Any = getattr(_libraries[key], name)
    function.argtypes = list(arguments)
    function.restype = None
    return function  # type: ignore[no-any-return]


def end_compilers() -> None:
    """End the compilers of this process that are running; nothing is left of what they do."""
    for process in tuple(_running):
        _end(process)


def _library(source: str, contracts: bool, command: Sequence[str]) -> ctypes.CDLL:  # noqa: FBT001 - a key
    contraction = f"-ffp-contract={'fast' if contracts else 'off'}"
    folder = ""
    try:
        # No TemporaryDirectory, which a process forked meanwhile would delete when it ends.
        folder = tempfile.mkdtemp(prefix="optlab-")
        text, made = Path(folder) / "loop.cpp", Path(folder) / "loop.so"
        text.write_text(source, encoding="ascii")
        files = [str(text), "-o", str(made), *_vector_libraries()]
        # Some compilers do not know what machine they are on.
        failure = _failure([*command, *_FLAGS, contraction, _NATIVE, *files], folder)
        if failure:
            failure = _failure([*command, *_FLAGS, contraction, *files], folder)
        if failure:
            raise NotCompiled(f"{command[0]} does not compile a loop: {failure}")
        return ctypes.CDLL(str(made))
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotCompiled(f"A compiled loop cannot be used: {error}.") from error
    finally:
        if folder:
            # A library that is in use cannot be deleted everywhere.
            shutil.rmtree(folder, ignore_errors=True)


def _vector_libraries() -> Sequence[str]:
    """Return the libraries with exponentials and logarithms of many numbers at once."""
    has_vectors = platform.machine() == "x86_64" and platform.libc_ver()[0] == "glibc"
    return ("-lmvec", "-lm") if has_vectors else ()


def _environment(folder: str) -> dict[str, str]:
    """Return the environment of a compiler: a packed program has libraries of its own in its own.

    Args:
        folder: for temporary files.
    """
    environment = {**os.environ, "TMPDIR": folder}
    if getattr(sys, "frozen", False):
        before = environment.pop("LD_LIBRARY_PATH_ORIG", "")
        environment.pop("LD_LIBRARY_PATH", None)
        if before:
            environment["LD_LIBRARY_PATH"] = before
    return environment


def _failure(command: Sequence[str], folder: str) -> str:
    """Execute a compiler; return its first line of errors, "" where it succeeds.

    Args:
        command: with its arguments.
        folder: for temporary files.

    Raises:
        NotCompiled: somebody has ended it.
    """
    with (Path(folder) / "errors.txt").open("w+b") as errors:
        with changing:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=_environment(folder),
                process_group=0,
            )
            _running.add(process)
        try:
            code = process.wait(_SECONDS)
        finally:
            _end(process)
            _running.discard(process)
        errors.seek(0)
        text = errors.read().decode(errors="replace")
    if code < 0:
        raise NotCompiled(f"{command[0]} was ended by signal {-code}.")
    if code == 0:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), f"exit code {code}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a compiler that is still running, and the programs that it has started."""
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _forget_threads() -> None:
    """Forget, in a new process, what the threads of the old one were about to do."""
    _locks.clear()
    _running.clear()
    changing.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=changing.acquire,
        after_in_parent=changing.release,
        after_in_child=_forget_threads,
    )
