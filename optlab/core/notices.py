"""Notices: sentences about what OptLab did on its own, for whoever uses it.

They go to the log, and to whoever listens: the command line prints them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOGGER = logging.getLogger(__name__)


def give(sentence: str) -> None:
    """Give a notice."""
    _LOGGER.info("%s", sentence)


@contextmanager
def heard(listener: Callable[[str], None]) -> Iterator[None]:
    """Call ``listener`` with each notice that is given inside, from whatever thread."""
    handler = _Listener(listener)
    level = _LOGGER.level
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)


class _Listener(logging.Handler):
    def __init__(self, listener: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._listener = listener

    def emit(self, record: logging.LogRecord) -> None:
        self._listener(record.getMessage())
