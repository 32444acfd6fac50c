"""Standard output and error that may be closed, full, or read by nobody any more.

A program whose standard output is closed gets its number for the next file that it opens, and
prints into that file: :func:`hold_numbers` prevents it. What cannot be written must not end a run
halfway nor leave a traceback: :func:`guard` puts streams in place that know what to do.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from abc import abstractmethod
from typing import TextIO

from optlab.core.errors import OptLabError

_OUTPUT, _ERRORS = 1, 2


class ReaderGone(Exception):
    """Whoever read standard output has closed it (``optlab list optimizers | head -1``).

    The command ends without a word.
    """


class OutputLost(OptLabError):
    """Standard output cannot be written: the disk is full, or it is closed."""


class _Descriptor(io.RawIOBase):
    """Writes to a descriptor; after a failure, which it raises once, it drops what comes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lost = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, content: object) -> int:
        data = memoryview(content).cast("B")  # type: ignore[arg-type]  # any buffer
        if self._lost:
            return len(data)
        try:
            return os.write(self._descriptor, data)
        except OSError as error:
            self._lost = True
            self._fail(error)
        return len(data)

    @abstractmethod
    def _fail(self, error: OSError) -> None:
        """React to the first failure of a write."""


class _Output(_Descriptor):
    def _fail(self, error: OSError) -> None:
        # Windows says EINVAL where a pipe is closed.
        if error.errno == errno.EPIPE or (os.name == "nt" and error.errno == errno.EINVAL):
            raise ReaderGone from None
        closed = error.errno == errno.EBADF
        raise OutputLost(
            "Standard output cannot be written "
            f"({'it is closed' if closed else error.strerror or error}); send it to a file or "
            "terminal that can be written to."
        ) from None


class _Errors(_Descriptor):
    def _fail(self, error: OSError) -> None:
        """Drop it: there is nowhere left to say so, and the exit code says how it ended."""


def hold_numbers() -> None:
    """Open the descriptors 0, 1 and 2 where they are closed, and Python's streams over them.

    Every write to the descriptor of standard output then fails, as it does where it is closed;
    standard error drops what is written, and standard input is empty. Python's streams fail nowhere
    before :func:`guard`.
    """
    for descriptor, flags in ((0, os.O_RDONLY), (_OUTPUT, os.O_RDONLY), (_ERRORS, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            # As after any start of Python, a child gets it.
            os.set_inheritable(descriptor, True)
    if sys.stdin is None:
        sys.stdin = sys.__stdin__ = os.fdopen(0, "r", closefd=False)  # type: ignore[misc]
    if sys.stdout is None:
        sys.stdout = sys.__stdout__ = _text(_Errors(_OUTPUT), "utf-8")  # type: ignore[misc]
    if sys.stderr is None:
        sys.stderr = sys.__stderr__ = _text(_Errors(_ERRORS), "utf-8")  # type: ignore[misc]


def guard(*, results: bool) -> None:
    """Put streams in place of the process's own that fail in a way that a command understands.

    Writing to standard error never fails. Streams that a test or a program has put there are left
    alone.

    Args:
        results: whether standard output carries results, so that writing to it raises
            :class:`ReaderGone` or :class:`OutputLost`, once; otherwise it never fails, either.
    """
    if _is_own(sys.stdout, sys.__stdout__, _OUTPUT):
        sys.stdout.flush()
        raw = _Output(_OUTPUT) if results else _Errors(_OUTPUT)
        sys.stdout = _text(raw, sys.stdout.encoding)
    if _is_own(sys.stderr, sys.__stderr__, _ERRORS):
        sys.stderr.flush()
        sys.stderr = _text(_Errors(_ERRORS), sys.stderr.encoding)


def results_to(descriptor: int) -> TextIO:
    """Return a stream that writes results to a descriptor, and fails as :func:`guard` describes.

    Closing it does not close the descriptor.
    """
    return _text(_Output(descriptor), "utf-8")


def _is_own(stream: TextIO, first: TextIO | None, descriptor: int) -> bool:
    try:
        own = stream is first and stream is not None and stream.fileno() == descriptor
    except (OSError, ValueError):
        return False
    # The console of Windows takes characters, not bytes.
    return own and not (os.name == "nt" and stream.isatty())


def _text(raw: _Descriptor, encoding: str) -> io.TextIOWrapper:
    # A terminal or pipe that has no ε must not end the command.
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        errors="replace",
        line_buffering=raw.isatty() or raw.fileno() == _ERRORS,
    )
