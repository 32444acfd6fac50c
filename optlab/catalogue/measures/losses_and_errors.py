"""Losses, 0-1 errors and the penalty: the parts of the objective, and what they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure, Step, StepMeasure
from optlab.core.data import LearningTask

if TYPE_CHECKING:
    import torch


class BatchLoss(StepMeasure):
    """Mean loss over the examples of a step's batch, before the step.

    It is a noisy estimate of the training loss, at no extra cost.
    """

    name: ClassVar[str] = "batch_loss"
    label: ClassVar[str] = "Training loss (batch)"
    sort_order: ClassVar[int] = 10
    source: ClassVar[str] = "Notes, (8.1) on a minibatch."
    log: ClassVar[bool] = True

    def compute(self, step: Step) -> torch.Tensor:
        return step.loss


class TrainLoss(EvaluationMeasure):
    """Mean loss over all training examples: the empirical risk, without weight-decay terms."""

    name: ClassVar[str] = "train_loss"
    label: ClassVar[str] = "Training loss"
    sort_order: ClassVar[int] = 50
    source: ClassVar[str] = "Notes, (8.3)."
    log: ClassVar[bool] = True

    def compute(self, evaluation: Evaluation) -> torch.Tensor:
        return evaluation.training_loss.mean(dim=1)


class ValidationLoss(EvaluationMeasure):
    """Mean loss over examples that are not used for training."""

    name: ClassVar[str] = "validation_loss"
    label: ClassVar[str] = "Validation loss"
    sort_order: ClassVar[int] = 60
    source: ClassVar[str] = "Notes, empirical risk minimization and overfitting."
    log: ClassVar[bool] = True

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = evaluation.validation_loss
        return None if values is None else values.mean(dim=1)


class TrainError(EvaluationMeasure):
    """Share of training examples whose most probable class is wrong."""

    name: ClassVar[str] = "train_error"
    label: ClassVar[str] = "Training error"
    sort_order: ClassVar[int] = 70
    source: ClassVar[str] = "Notes, surrogate loss functions."
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = evaluation.training_error
        return None if values is None else values.mean(dim=1)


class ValidationError(EvaluationMeasure):
    """Share of validation examples whose most probable class is wrong.

    This is the quantity that we actually care about.
    """

    name: ClassVar[str] = "validation_error"
    label: ClassVar[str] = "Validation error"
    sort_order: ClassVar[int] = 80
    source: ClassVar[str] = "Notes, surrogate loss functions and early stopping."
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = evaluation.validation_error
        return None if values is None else values.mean(dim=1)


class Penalty(EvaluationMeasure):
    """The weight-decay terms of the objective, apart from the loss on data.

    The optimizer minimizes the sum of the training loss and this penalty. Weight decay that an
    optimizer applies itself (AdamW) is not part of the objective. Not recorded where the loss has
    no weight decay.
    """

    name: ClassVar[str] = "penalty"
    label: ClassVar[str] = "Weight-decay terms"
    sort_order: ClassVar[int] = 95
    rule: ClassVar[tuple[str, ...]] = (
        r"\lambda_1 \lVert W \rVert_1 + \tfrac{1}{2} \lambda_2 \lVert W \rVert^2",
    )
    symbols: ClassVar[dict[str, str]] = {
        "W": "the weights, without biases",
        "λ₁": "weight decay L1",
        "λ₂": "weight decay L2",
    }
    source: ClassVar[str] = "Notes, (8.1), (8.3) with weight decay."
    log: ClassVar[bool] = True

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        return evaluation.penalty
