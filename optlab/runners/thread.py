"""The runner that does the job itself, in the thread that iterates."""

from __future__ import annotations

from collections.abc import Iterator

from optlab.runners.jobs import Job, perform
from optlab.runners.runner import RunnerName
from optlab.training.control import Inbox
from optlab.training.events import Event


class ThreadRunner:
    """No second process: starts at once, and shares the interpreter with whoever draws."""

    name: RunnerName = "thread"

    def events(self, job: Job, inbox: Inbox) -> Iterator[Event]:
        """See :class:`~optlab.runners.runner.Runner`."""
        yield from perform(job, inbox)

    def kill(self) -> None:
        """A thread cannot be ended from outside; it sees a Stop after the step it is in."""
