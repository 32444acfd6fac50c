"""What the window asks of a bench: to run, and to show what it has found so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optlab.studies import demonstrations
from optlab.studies.demonstrations.base import DemonstrationResult, Progress
from optlab.tasks.task import Task
from optlab.training.control import Controls, Stop


class _Controlled(Progress):
    """Goes on until it is told to stop."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._stopped = False

    def should_continue(self) -> bool:
        self._stopped = self._stopped or any(
            isinstance(message, Stop) for message in self._controls.take(0)
        )
        return not self._stopped


@dataclass(frozen=True)
class DemonstrationTask(Task):
    """Run the bench of this name with these values of its fields; answered by one
    :class:`~optlab.studies.demonstrations.base.DemonstrationResult` after another.
    """

    name: str
    values: Mapping[str, Any]

    def run(self, controls: Controls) -> Iterator[DemonstrationResult]:
        yield from demonstrations.build(self.name, self.values).run(_Controlled(controls))
