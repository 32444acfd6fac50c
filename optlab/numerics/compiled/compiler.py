"""The C++ compiler of this machine, and functions that it made."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import shlex
import shutil
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
_lock = threading.Lock()


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
    with _lock:
        library = _library(source, contracts, *compiler())
    function: Any = getattr(library, name)
    function.argtypes = list(arguments)
    function.restype = None
    return function  # type: ignore[no-any-return]


@functools.cache
def _library(source: str, contracts: bool, *command: str) -> ctypes.CDLL:  # noqa: FBT001 - cached
    contraction = f"-ffp-contract={'fast' if contracts else 'off'}"
    # A library that is in use cannot be deleted everywhere.
    with tempfile.TemporaryDirectory(prefix="optlab-", ignore_cleanup_errors=True) as folder:
        text, made = Path(folder) / "loop.cpp", Path(folder) / "loop.so"
        text.write_text(source, encoding="ascii")
        files = [str(text), "-o", str(made), *_libraries()]
        try:
            # Some compilers do not know what machine they are on.
            failure = _failure([*command, *_FLAGS, contraction, _NATIVE, *files])
            if failure:
                failure = _failure([*command, *_FLAGS, contraction, *files])
            if failure:
                raise NotCompiled(f"{command[0]} does not compile a loop: {failure}")
            return ctypes.CDLL(str(made))
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotCompiled(f"A compiled loop cannot be used: {error}.") from error


def _libraries() -> Sequence[str]:
    """Return the libraries with exponentials and logarithms of many numbers at once."""
    has_vectors = platform.machine() == "x86_64" and platform.libc_ver()[0] == "glibc"
    return ("-lmvec", "-lm") if has_vectors else ()


def _environment() -> dict[str, str]:
    """Return the environment of a compiler: a packed program has libraries of its own in its own."""
    environment = dict(os.environ)
    if getattr(sys, "frozen", False):
        before = environment.pop("LD_LIBRARY_PATH_ORIG", "")
        environment.pop("LD_LIBRARY_PATH", None)
        if before:
            environment["LD_LIBRARY_PATH"] = before
    return environment


def _failure(command: Sequence[str]) -> str:
    """Execute a compiler; return its first line of errors, "" where it succeeds."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
        env=_environment(),
    )
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), f"exit code {done.returncode}")
