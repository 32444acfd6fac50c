"""Loss on the whole training set."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure

if TYPE_CHECKING:
    import torch


class TrainLoss(EvaluationMeasure):
    """Mean loss over all training examples: the empirical risk, without weight-decay terms."""

    name: ClassVar[str] = "train_loss"
    label: ClassVar[str] = "Training loss"
    sort_order: ClassVar[int] = 50
    source: ClassVar[str] = "Notes, (8.3)."
    log: ClassVar[bool] = True

    def take(self, evaluation: Evaluation) -> torch.Tensor:
        return evaluation.training_loss.mean(dim=1)
