"""The runner that executes a job in the thread that iterates."""

from __future__ import annotations

from collections.abc import Iterator

from optlab.runners.jobs import Job, perform
from optlab.runners.runner import RunnerName
from optlab.training.control import Inbox
from optlab.training.events import Event


class ThreadRunner:
    """Executes a job without a second process: it starts at once, but shares the interpreter."""

    name: RunnerName = "thread"

    def events(self, job: Job, inbox: Inbox) -> Iterator[Event]:
        """See :class:`~optlab.runners.runner.Runner`."""
        yield from perform(job, inbox)

    def kill(self) -> None:
        """Do nothing: a thread cannot be killed; it handles a Stop after its current step."""

    def silence(self) -> float:
        """Return 0: the job is in this process."""
        return 0.0

    def suspended(self) -> str:
        """Return "": the job is in this process."""
        return ""
