"""The protocol of runners: a runner executes one job and yields its events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

from optlab.runners.jobs import Job
from optlab.training.control import Inbox
from optlab.training.events import Event

RunnerName = Literal["thread", "process", "cluster"]


class Runner(Protocol):
    """Executes one job."""

    @property
    def name(self) -> RunnerName:
        """Its name in the record of the run."""

    def events(self, job: Job, inbox: Inbox) -> Iterator[Event]:
        """Execute the job while the caller iterates, and yield its events.

        Nothing is raised: the last event of a failed job is a
        :class:`~optlab.training.events.SessionFailed`.

        Args:
            job: to execute.
            inbox: the messages to it.
        """

    def kill(self) -> None:
        """End a job that does not respond to Stop, where that is possible (any thread)."""

    def silence(self) -> float:
        """Return the seconds for which the job's process has given no sign of life (any thread).

        It is 0 for a job in this process, and has a meaning only if it is asked again and again.
        """

    def suspended(self) -> str:
        """Return how to let the job's process continue where it is suspended, else "".

        "" where that is not known, too.
        """
