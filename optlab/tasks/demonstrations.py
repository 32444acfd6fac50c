"""Running a demonstration as a task, with intermediate results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optlab.studies import demonstrations
from optlab.studies.demonstrations.base import DemonstrationResult, Progress
from optlab.tasks.task import Task
from optlab.training.control import Controls, Stop


class _Controlled(Progress):
    """Continues until a Stop arrives."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._stopped = False

    def should_continue(self) -> bool:
        self._stopped = self._stopped or any(
            isinstance(message, Stop) for message in self._controls.receive(0)
        )
        return not self._stopped


@dataclass(frozen=True)
class DemonstrationTask(Task):
    """Run a demonstration.

    The results are :class:`~optlab.studies.demonstrations.base.DemonstrationResult`, each more
    complete than the one before.

    Attributes:
        name: of the demonstration.
        values: of its fields.
    """

    name: str
    values: Mapping[str, Any]

    def run(self, controls: Controls) -> Iterator[DemonstrationResult]:
        """See :class:`~optlab.tasks.task.Task`."""
        yield from demonstrations.build(self.name, self.values).run(_Controlled(controls))
