"""A task in a worker process, for a command that waits for its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optlab.core.errors import InvalidInput, RunFailed
from optlab.runners.notices import WorkerOutput
from optlab.runners.process import ProcessRunner
from optlab.tasks.task import Task
from optlab.training.control import Inbox
from optlab.training.events import SessionFailed, TaskResult


def answer(task: Task, on_output: Callable[[str], object]) -> Any:
    """Execute a task in a worker process of its own, and return its last result.

    Args:
        task: to execute.
        on_output: is called with what code in the worker prints.

    Raises:
        InvalidInput: the task found input of the user that is not valid.
        RunFailed: it failed otherwise, or its process ended.
    """
    result: Any = None
    for event in ProcessRunner().events(task, Inbox()):
        if isinstance(event, TaskResult):
            result = event.value
        elif isinstance(event, WorkerOutput):
            on_output(event.words)
        elif isinstance(event, SessionFailed):
            if event.invalid:
                raise InvalidInput(event.message, event.field)
            raise RunFailed(event.message)
    return result
