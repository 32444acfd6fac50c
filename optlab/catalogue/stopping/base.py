"""Base class of stopping rules, which decide after each evaluation whether a run ends."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from optlab.core.component import Component, Section
from optlab.core.data import LearningTask

Memory = dict[str, float]
"""State of a rule for one run between evaluations."""

EVALUATIONS = "gradient_evaluations"
"""Entry of the values of an evaluation: the gradients on a batch that the run has evaluated."""

FullGradientNorm = Callable[[], float]
"""Returns the norm of the gradient on the whole training set; computed on each call."""


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
    """Learning tasks for which the quantities that the rule uses exist."""
    needs_validation: ClassVar[bool] = False
    """Whether the rule requires validation examples."""

    @property
    def keeps_best(self) -> bool:
        """Whether the best parameters are restored when the rule ends the run.

        The best parameters are those at step ``memory["best_step"]``.
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
        """Decide whether to stop after an evaluation.

        Args:
            memory: memory returned by the last call, ``{}`` for the first; not modified.
            step: number of steps so far.
            values: series → value at this evaluation (``validation_error``, …), and
                ``gradient_norm_at_start``, the norm of the full gradient before the first step,
                and :data:`EVALUATIONS`, where they are known.
            gradient_norm: see :data:`FullGradientNorm`.

        Returns:
            The new memory, and the reason to stop or None.
        """
