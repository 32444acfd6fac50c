"""What runners report beside the events of a session: signs that something is wrong, and output.

None of them is recorded with the run.
"""

from __future__ import annotations

from optlab.training.events import TaskProgress


class WorkerSilent(TaskProgress):
    """The worker process gives no sign of life; ``words`` say so. Sent once each time."""


class WorkerResponds(TaskProgress):
    """A worker that was silent responds again; ``words`` say so."""


class StepOverdue(TaskProgress):
    """The worker lives, but no step has ended for long; ``words`` say so. Sent once each time."""


class StepCompleted(TaskProgress):
    """After :class:`StepOverdue`, the run has reported something again; ``words`` say so."""


class WorkerOutput(TaskProgress):
    """Text in ``words`` that code in the worker has printed; the first lines of a job only."""


class JobProgress(TaskProgress):
    """How far a job is whose events arrive only at its end; ``words`` say where. A sign of life."""
