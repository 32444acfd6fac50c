"""0-1 error on the validation set."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure
from optlab.core.data import LearningTask

if TYPE_CHECKING:
    import torch


class ValidationError(EvaluationMeasure):
    """Share of validation examples whose most probable class is wrong: what we are actually
    concerned about.
    """

    name: ClassVar[str] = "validation_error"
    label: ClassVar[str] = "Validation error"
    sort_order: ClassVar[int] = 80
    source: ClassVar[str] = "Notes, surrogate loss functions and early stopping."
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)
    log: ClassVar[bool] = False

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = evaluation.validation_error
        return None if values is None else values.mean(dim=1)
