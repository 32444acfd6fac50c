"""0-1 error on the training set."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure
from optlab.core.data import LearningTask

if TYPE_CHECKING:
    import torch


class TrainError(EvaluationMeasure):
    """Share of training examples whose most probable class is wrong."""

    name: ClassVar[str] = "train_error"
    label: ClassVar[str] = "Training error"
    sort_order: ClassVar[int] = 70
    source: ClassVar[str] = "Notes, surrogate loss functions."
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)
    log: ClassVar[bool] = False

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = evaluation.training_error
        return None if values is None else values.mean(dim=1)
