"""Ranks that ``torchrun`` has started, on one machine or several: this process is one of them.

The first rank runs the command as ever, with store, progress and result; the others only follow it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

from optlab.core.errors import OptLabError
from optlab.objective.ranks import join, leave
from optlab.runners.jobs import Job, TrainJob
from optlab.runners.ranks.job import SharedControls, perform_shared
from optlab.runners.runner import RunnerName
from optlab.training.control import Inbox
from optlab.training.events import Event, SessionFailed


def joined() -> bool:
    """Return whether ``torchrun`` has started this process, as one of several or the only one."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ


def place() -> tuple[int, int]:
    """Return the number of this rank, from 0, and that of all ranks; (0, 1) outside ``torchrun``."""
    return (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if joined() else (0, 1)


class JoinedRunner:
    """Executes a training job in the thread that iterates, together with the other ranks."""

    name: RunnerName = "thread"

    def events(self, job: Job, inbox: Inbox) -> Iterator[Event]:
        """See :class:`~optlab.runners.runner.Runner`."""
        assert isinstance(job, TrainJob), "ranks share nothing but training"
        yield from _events(job, inbox)

    def kill(self) -> None:
        """Do nothing: a thread cannot be killed; ``torchrun`` ends its ranks."""

    def silence(self) -> float:
        """Return 0: the job is in this process."""
        return 0.0

    def suspended(self) -> str:
        """Return "": the job is in this process."""
        return ""


def follow_first() -> str:
    """Perform the first rank's job as another rank, and return how it failed, or "".

    A signal that ends runs in order is ignored: it reaches the first rank, too, which tells.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    message = ""
    for event in _events(None, Inbox()):
        if isinstance(event, SessionFailed):
            message = event.message
    return message


def _events(job: TrainJob | None, inbox: Inbox) -> Iterator[Event]:
    try:
        ranks = join(inbox.waiting)
        failed = False
        # Standard output is the command's: what a model of the user's prints is no result of it.
        with contextlib.redirect_stdout(sys.stderr):
            for event in perform_shared(job, SharedControls(ranks, inbox)):
                failed = failed or isinstance(event, SessionFailed)
                yield event
        if not failed:
            leave(ranks)
    except OptLabError as error:
        yield SessionFailed(str(error))
