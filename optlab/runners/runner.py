"""What a runner is: something that does one job and tells its events, wherever it is done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

from optlab.runners.jobs import Job
from optlab.training.control import Inbox
from optlab.training.events import Event

RunnerName = Literal["thread", "process"]


class Runner(Protocol):
    """Does one job.

    Attributes:
        name: for the record of the run.
    """

    @property
    def name(self) -> RunnerName:
        """For the record of the run."""

    def events(self, job: Job, inbox: Inbox) -> Iterator[Event]:
        """Do the job in the thread that iterates, or have it done; messages come from ``inbox``.

        Nothing is raised: the last event of a job that failed is a
        :class:`~optlab.training.events.SessionFailed`.
        """

    def kill(self) -> None:
        """End a job that does not answer to Stop, where that is possible (any thread)."""
