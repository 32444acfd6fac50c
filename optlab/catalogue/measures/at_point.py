"""Losses and errors where the next gradient is evaluated, beside those of the iterate."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure
from optlab.core.data import LearningTask

if TYPE_CHECKING:
    import torch

_SOURCE = "A. Defazio et al., The Road Less Scheduled (2024)."


class PointTrainLoss(EvaluationMeasure):
    """Training loss where the next gradient is evaluated.

    Recorded for rules that evaluate the gradient at one point and report another, such as the
    schedule-free ones.
    """

    name: ClassVar[str] = "point_train_loss"
    label: ClassVar[str] = "Training loss where the gradient is evaluated"
    sort_order: ClassVar[int] = 54
    source: ClassVar[str] = _SOURCE
    log: ClassVar[bool] = True

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = None if evaluation.at_point is None else evaluation.at_point.training_loss
        return None if values is None else values.mean(dim=1)


class PointValidationLoss(EvaluationMeasure):
    """Validation loss where the next gradient is evaluated.

    Recorded for rules that evaluate the gradient at one point and report another, such as the
    schedule-free ones.
    """

    name: ClassVar[str] = "point_validation_loss"
    label: ClassVar[str] = "Validation loss where the gradient is evaluated"
    sort_order: ClassVar[int] = 64
    source: ClassVar[str] = _SOURCE
    log: ClassVar[bool] = True

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = None if evaluation.at_point is None else evaluation.at_point.validation_loss
        return None if values is None else values.mean(dim=1)


class PointValidationError(EvaluationMeasure):
    """Validation error where the next gradient is evaluated.

    Recorded for rules that evaluate the gradient at one point and report another, such as the
    schedule-free ones.
    """

    name: ClassVar[str] = "point_validation_error"
    label: ClassVar[str] = "Validation error where the gradient is evaluated"
    sort_order: ClassVar[int] = 84
    source: ClassVar[str] = _SOURCE
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = None if evaluation.at_point is None else evaluation.at_point.validation_error
        return None if values is None else values.mean(dim=1)
