"""Target: end the run at a sufficiently low validation error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from optlab.catalogue.stopping.base import FullGradientNorm, Memory, Stopping
from optlab.core.data import LearningTask
from optlab.core.fields import number


class Target(Stopping):
    """The run ends at the first evaluation with a validation 0-1 error at or below the target.

    The number of steps to a target is the fairest single number for comparing methods on a problem.
    """

    name: ClassVar[str] = "target"
    label: ClassVar[str] = "At a target error"
    sort_order: ClassVar[int] = 20
    source: ClassVar[str] = "Notes, surrogate loss functions and early stopping."
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)
    needs_validation: ClassVar[bool] = True

    error: float = number(
        0.05,
        "Target error",
        ge=0.0,
        le=1.0,
        slider=(0.0, 0.5),
        help="Share of validation examples that may be misclassified.",
    )

    def verdict(
        self,
        memory: Memory,
        step: int,
        values: Mapping[str, float],
        gradient_norm: FullGradientNorm,
    ) -> tuple[Memory, str | None]:
        error = values.get("validation_error")
        if error is not None and error <= self.error:
            return memory, f"validation error {error:.4f} is at most {self.error:g}"
        return memory, None
