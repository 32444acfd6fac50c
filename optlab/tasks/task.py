"""Tasks: work for a runner that is not training, with one result or several of increasing quality.

Tasks are plain frozen dataclasses, so that they can be sent to another process; so are their
results, which hold NumPy arrays and no tensors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from optlab.training.control import Controls


class Task(ABC):
    """Base class of all tasks."""

    @abstractmethod
    def run(self, controls: Controls) -> Iterator[Any]:
        """Yield the results; the last one is complete.

        A long task checks ``controls`` regularly and ends early after a Stop.

        Args:
            controls: the messages to the task.

        Raises:
            OptLabError: the task failed; the message says why.
        """

    def own_parts(self) -> tuple[str, ...]:
        """Return what the task executes of code of the user's, for messages; by default nothing."""
        return ()


@dataclass(frozen=True, kw_only=True)
class OnStoredRun(Task):
    """Base class of tasks that read the data of stored runs.

    Attributes:
        changed_data: whether to go on although the files that a run has read have changed.
    """

    changed_data: bool = False
