"""Commands that execute code of the user's: in a worker process, as runs do.

The code may print, hang or end its process; the command then still says in a sentence what happened.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from optlab.cli.output import collected, say_text
from optlab.runners.answer import answer
from optlab.tasks.task import Task
from optlab.training.control import Controls


@dataclass(frozen=True)
class Said:
    """The result of a command: its exit code, and what it wrote on standard output."""

    code: int
    text: str


@dataclass(frozen=True)
class CommandTask(Task):
    """Execute a command line; the result is :class:`Said`.

    Attributes:
        words: of the command line, after ``optlab``.
        what: code of the user's that it executes.
    """

    words: tuple[str, ...]
    what: str

    def own_parts(self) -> tuple[str, ...]:
        """Return the code; see :class:`~optlab.tasks.task.Task`."""
        return (self.what,)

    def run(self, controls: Controls) -> Iterator[Said]:
        """Execute the command; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            OptLabError: what the command raises.
        """
        from optlab.cli.app import execute

        text = io.StringIO()
        with collected(text), contextlib.redirect_stdout(sys.stderr):
            code = execute(self.words)
        yield Said(code, text.getvalue())


def in_worker(words: Sequence[str], what: str, on_output: Callable[[str], object]) -> int:
    """Execute a command line in a worker, write its result, and return its exit code.

    Args:
        words: of the command line, after ``optlab``.
        what: code of the user's that it executes.
        on_output: is called with what the worker prints beside the result.

    Raises:
        OptLabError: the command failed, or its process ended.
    """
    said: Said = answer(CommandTask(tuple(words), what), on_output)
    say_text(said.text)
    return said.code
