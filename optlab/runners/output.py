"""What code in a worker prints: kept out of this program's standard output, in the log, bounded.

The worker's descriptors 1 and 2 are a pipe, so what C code prints is caught, too. A worker that
prints faster than it is read waits. Of each job the beginning is reported, more of it is logged, and
of the rest the end, so that output without end fills neither memory nor disk.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from multiprocessing.connection import Connection

from optlab.core.logging import log_file

_LOG = logging.getLogger(__name__)
REPORTED_LINES = 20
"""Lines of a job that are reported."""
REPORTED_CHARACTERS = 4_000
"""Characters of a job that are reported."""
LOGGED_CHARACTERS = 200_000
"""Characters of a job that are logged, beside the end of its output."""
END_LINES = 40
"""Lines of the end of the output that are logged where it was too long."""
_LINE_CHARACTERS = 2_000
_READ_BYTES = 65_536
_WAITING_CHARACTERS = 16_000
"""Characters that wait to be logged together."""


class OutputPipe:
    """The parent's end of the pipe into which a worker prints.

    Args:
        pipe: whose descriptor is read without blocking.
    """

    def __init__(self, pipe: Connection) -> None:
        self.pipe: Connection | None = pipe
        os.set_blocking(pipe.fileno(), False)

    def read(self) -> bytes:
        """Return what is there, at most 64 KiB; empty where there is nothing."""
        if self.pipe is None:
            return b""
        try:
            data = os.read(self.pipe.fileno(), _READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            # The worker has closed it.
            self.close()
        return data

    def close(self) -> None:
        """Close the pipe; safe to call twice."""
        pipe, self.pipe = self.pipe, None
        if pipe is not None:
            pipe.close()


class JobOutput:
    """The output of one job."""

    def __init__(self) -> None:
        self._partial = b""
        self._lines = self._characters = self._reported = self._reported_characters = 0
        self._waiting: list[str] = []
        self._waiting_characters = 0
        self._end: deque[str] = deque(maxlen=END_LINES)

    def feed(self, data: bytes) -> str:
        """Take what was printed, and return the part of it that is to be reported."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > _LINE_CHARACTERS:
            lines, self._partial = [*lines, self._partial], b""
        return self._take_lines(lines)

    def finish(self) -> str:
        """Take the rest; return what is to be reported at the end."""
        last, self._partial = self._partial, b""
        report = self._take_lines([last]) if last else ""
        self._log()
        if self._end:
            _LOG.info(
                "a worker printed %d lines; the last of them:\n%s",
                self._lines,
                "\n".join(self._end),
            )
        more = self._lines - self._reported
        if more > 0:
            path = log_file()
            kept = f"see {path}" if path.exists() else "they are not kept"
            report += f"({more:,} more lines were printed; {kept})\n"
        return report

    def _take_lines(self, lines: list[bytes]) -> str:
        report: list[str] = []
        for line in lines:
            text = line[:_LINE_CHARACTERS].decode("utf-8", "replace").rstrip("\r")
            self._lines += 1
            if (
                self._reported < REPORTED_LINES
                and self._reported_characters + len(text) <= REPORTED_CHARACTERS
            ):
                self._reported += 1
                self._reported_characters += len(text)
                report.append(text)
            if self._characters + len(text) <= LOGGED_CHARACTERS:
                self._characters += len(text) + 1
                self._waiting.append(text)
                self._waiting_characters += len(text) + 1
            else:
                self._characters = LOGGED_CHARACTERS
                self._end.append(text)
        if self._waiting_characters > _WAITING_CHARACTERS:
            self._log()
        return "".join(f"{text}\n" for text in report)

    def _log(self) -> None:
        if self._waiting:
            _LOG.info("a worker printed:\n%s", "\n".join(self._waiting))
        self._waiting, self._waiting_characters = [], 0


def redirect(pipe: Connection) -> None:
    """Let the descriptors 1 and 2 of this process lead into the pipe (in the worker)."""
    import faulthandler
    import sys

    for descriptor in (1, 2):
        os.dup2(pipe.fileno(), descriptor)
    pipe.close()
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = open(  # noqa: SIM115 - for as long as the process lives
            descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
        )
        setattr(sys, name, stream)
    # A crash in C code then says where it was.
    faulthandler.enable()


def flush() -> None:
    """Write out what this process has printed and still holds back, C code included."""
    import ctypes
    import sys

    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)
