"""What a stopping rule is: a verdict after each evaluation, from what was measured so far."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from optlab.component import Component
from optlab.data import Task

Memory = dict[str, float]
"""What a rule remembers of one run between evaluations."""


class Stopping(Component):
    """Base of all stopping rules."""

    kind: ClassVar[str] = "stopping"
    tasks: ClassVar[tuple[Task, ...]] = ("classes", "regression")
    """Tasks for which the quantities that the rule looks at exist."""

    @abstractmethod
    def verdict(self, memory: Memory, step: int, values: Mapping[str, float]) -> tuple[Memory, str | None]:
        """Whether to stop after an evaluation.

        Args:
            memory: what the last call returned; ``{}`` at first. Not written to.
            step: number of steps taken.
            values: series → value at this evaluation (``validation_error``, …).

        Returns:
            the new memory, and the reason to stop in words or None.
        """
