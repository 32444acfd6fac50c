"""What a stopping rule is: a verdict after each evaluation, from what was measured so far."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from optlab.core.component import Component, Section
from optlab.core.data import LearningTask

Memory = dict[str, float]
"""What a rule remembers of one run between evaluations."""

FullGradientNorm = Callable[[], float]
"""Norm of the objective's gradient on the whole training set; computed when it is called."""


class Stopping(Component):
    """Base of all stopping rules."""

    kind: ClassVar[str] = "stopping"
    section: ClassVar[Section] = Section(
        title="Stopping",
        plural="Stopping",
        chapter="Strategies",
        order=100,
        form_order=130,
        default="never",
    )
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes", "regression")
    """Tasks for which the quantities that the rule looks at exist."""
    needs_validation: ClassVar[bool] = False
    """Whether the rule means nothing without a validation part."""

    @property
    def keeps_best(self) -> bool:
        """Whether the parameters are kept when ``memory["best_step"]`` is the step of the
        evaluation, and are put back when the rule ends the run.
        """
        return False

    @abstractmethod
    def verdict(
        self,
        memory: Memory,
        step: int,
        values: Mapping[str, float],
        gradient_norm: FullGradientNorm,
    ) -> tuple[Memory, str | None]:
        """Whether to stop after an evaluation.

        Args:
            memory: what the last call returned; ``{}`` at first. Not written to.
            step: number of steps taken.
            values: series → value at this evaluation (``validation_error``, …).
            gradient_norm: see :data:`FullGradientNorm`.

        Returns:
            the new memory, and the reason to stop in words or None.
        """
