"""The log: named loggers, and one file in the data folder for the window and the commands.

Modules log to ``logging.getLogger(__name__)``. Nothing is printed: as a library OptLab leaves
records to the program that imports it; as a program, :func:`log_to_file` writes them to
:func:`log_file`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from types import TracebackType

from optlab.core import paths

MAX_BYTES = 1_000_000
"""Size at which the log file becomes the previous one, which it replaces."""

_ROOT = logging.getLogger("optlab")
# Without a handler, Python would print warnings on standard error.
_ROOT.addHandler(logging.NullHandler())


def log_file() -> Path:
    """Return the path of the log file; it exists only once something has been logged.

    The log does not create the data folder: a command that stores nothing leaves nothing behind.
    """
    return paths.home() / "optlab.log"


def log_to_file() -> None:
    """Write OptLab's records of level INFO and above to :func:`log_file` from now on."""
    if not any(isinstance(handler, LogFile) for handler in _ROOT.handlers):
        _ROOT.addHandler(LogFile())
    _ROOT.setLevel(logging.INFO)
    # A handler that a library installs on the root logger would print the records.
    _ROOT.propagate = False


def log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Log an exception that nothing has caught; has the signature of :func:`sys.excepthook`."""
    _ROOT.critical("uncaught exception", exc_info=(kind, error, trace))


class LogFile(logging.Handler):
    """Appends records to the log file.

    Records are few, and several processes may write at once, so the file is open only while a
    record is written. It follows ``OPTLAB_HOME``.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(
            logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
        )
        self.failed = 0
        """Number of records that could not be written."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. A log that cannot be written never disturbs the program."""
        try:
            path = log_file()
            if not path.parent.is_dir():
                return
            if path.exists() and not path.is_file():  # a pipe would be waited for
                self.failed += 1
                return
            if path.exists() and path.stat().st_size > MAX_BYTES:
                path.replace(path.with_suffix(".log.1"))
            with path.open("a", encoding="utf-8") as file:
                file.write(self.format(record) + "\n")
        except OSError:
            self.failed += 1
