"""Leaving code of the user's to a worker process.

Apart from the module that executes it, since every command imports this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class ForWorker(BaseException):
    """Code of the user's was to be executed where it must not be: see :func:`left_to_worker`.

    Args:
        what: path and class.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


_left_to_worker = ContextVar("code of the user's is left to a worker", default=False)


@contextmanager
def left_to_worker() -> Iterator[None]:
    """Execute no code of the user's inside, in this thread.

    Raises:
        ForWorker: some was to be executed; whoever opened the context does it again in a worker.
    """
    token = _left_to_worker.set(True)
    try:
        yield
    finally:
        _left_to_worker.reset(token)


def refuse_here(what: str) -> None:
    """Raise if code of the user's must not be executed in this thread at present.

    Args:
        what: path and class that are to be executed.

    Raises:
        ForWorker: see :func:`left_to_worker`.
    """
    if _left_to_worker.get():
        raise ForWorker(what)
