"""Validation error of the average, beside that of the last iterate."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure
from optlab.core.data import LearningTask

if TYPE_CHECKING:
    import torch


class AveragedValidationError(EvaluationMeasure):
    """The same measure at the averaged parameters; there is none where the experiment averages
    nothing.
    """

    name: ClassVar[str] = "averaged_validation_error"
    label: ClassVar[str] = "Validation error of the average"
    sort_order: ClassVar[int] = 82
    source: ClassVar[str] = "Notes, averaging points."
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)
    log: ClassVar[bool] = False

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = None if evaluation.averaged is None else evaluation.averaged.validation_error
        return None if values is None else values.mean(dim=1)
