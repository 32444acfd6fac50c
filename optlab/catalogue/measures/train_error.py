"""0-1 error on the training set."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure
from optlab.core.data import Task

if TYPE_CHECKING:
    import torch


class TrainError(EvaluationMeasure):
    """Share of training examples whose most probable class is wrong."""

    name: ClassVar[str] = "train_error"
    label: ClassVar[str] = "Training error"
    place: ClassVar[int] = 70
    source: ClassVar[str] = "Notes, surrogate loss functions."
    tasks: ClassVar[tuple[Task, ...]] = ("classes",)
    log: ClassVar[bool] = False

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = evaluation.training_error
        return None if values is None else values.mean(dim=1)
