"""Losses and errors at the averaged parameters, beside those of the last iterate."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure
from optlab.core.data import LearningTask

if TYPE_CHECKING:
    import torch


class AveragedTrainLoss(EvaluationMeasure):
    """Training loss at the averaged parameters.

    Not recorded where the experiment uses no averaging.
    """

    name: ClassVar[str] = "averaged_train_loss"
    label: ClassVar[str] = "Training loss of the average"
    sort_order: ClassVar[int] = 52
    source: ClassVar[str] = "Notes, averaging points."
    log: ClassVar[bool] = True

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = None if evaluation.averaged is None else evaluation.averaged.training_loss
        return None if values is None else values.mean(dim=1)


class AveragedValidationLoss(EvaluationMeasure):
    """Validation loss at the averaged parameters.

    Not recorded where the experiment uses no averaging.
    """

    name: ClassVar[str] = "averaged_validation_loss"
    label: ClassVar[str] = "Validation loss of the average"
    sort_order: ClassVar[int] = 62
    source: ClassVar[str] = "Notes, averaging points."
    log: ClassVar[bool] = True

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = None if evaluation.averaged is None else evaluation.averaged.validation_loss
        return None if values is None else values.mean(dim=1)


class AveragedValidationError(EvaluationMeasure):
    """Validation error at the averaged parameters.

    Not recorded where the experiment uses no averaging.
    """

    name: ClassVar[str] = "averaged_validation_error"
    label: ClassVar[str] = "Validation error of the average"
    sort_order: ClassVar[int] = 82
    source: ClassVar[str] = "Notes, averaging points."
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = None if evaluation.averaged is None else evaluation.averaged.validation_error
        return None if values is None else values.mean(dim=1)
