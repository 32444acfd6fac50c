"""Learning rate of each step, as the schedule gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Step, StepMeasure

if TYPE_CHECKING:
    import torch


class LearningRate(StepMeasure):
    """The learning rate that the step was taken with."""

    name: ClassVar[str] = "learning_rate"
    label: ClassVar[str] = "Learning rate"
    sort_order: ClassVar[int] = 35
    rule: ClassVar[tuple[str, ...]] = (r"\epsilon_k",)
    source: ClassVar[str] = "Notes, (8.14)."
    log: ClassVar[bool] = True

    def take(self, step: Step) -> torch.Tensor:
        return step.rate
