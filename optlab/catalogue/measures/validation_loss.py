"""Loss on the validation set."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure

if TYPE_CHECKING:
    import torch


class ValidationLoss(EvaluationMeasure):
    """Mean loss over examples that training does not see."""

    name: ClassVar[str] = "validation_loss"
    label: ClassVar[str] = "Validation loss"
    sort_order: ClassVar[int] = 60
    source: ClassVar[str] = "Notes, empirical risk minimization and overfitting."
    log: ClassVar[bool] = True

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = evaluation.validation_loss
        return None if values is None else values.mean(dim=1)
