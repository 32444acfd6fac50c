"""Training loss of the average, beside that of the last iterate."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure

if TYPE_CHECKING:
    import torch


class AveragedTrainLoss(EvaluationMeasure):
    """The same measure at the averaged parameters; there is none where the experiment averages
    nothing.
    """

    name: ClassVar[str] = "averaged_train_loss"
    label: ClassVar[str] = "Training loss of the average"
    sort_order: ClassVar[int] = 52
    source: ClassVar[str] = "Notes, averaging points."
    log: ClassVar[bool] = True

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = None if evaluation.averaged is None else evaluation.averaged.training_loss
        return None if values is None else values.mean(dim=1)
