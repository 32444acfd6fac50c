"""Margins: by how much the output of the correct class exceeds the largest of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure
from optlab.core.data import LearningTask

if TYPE_CHECKING:
    import torch


class _MeanMargin(EvaluationMeasure):
    """What the measures of margins share."""

    rule: ClassVar[tuple[str, ...]] = (
        r"\frac{1}{n} \sum_i \left(f_{y_i}(x_i) - \max_{k \neq y_i} f_k(x_i)\right)",
    )
    symbols: ClassVar[dict[str, str]] = {"f_k": "output for class k", "n": "number of examples"}
    source: ClassVar[str] = "Notes, surrogate loss functions."
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)


class Margin(_MeanMargin):
    """Mean margin of the training examples: the correct class's output minus the largest other one.

    It can keep growing, pushing the classes further apart, after the last training example is
    classified correctly and the 0-1 loss no longer changes.
    """

    name: ClassVar[str] = "margin"
    label: ClassVar[str] = "Training margin"
    sort_order: ClassVar[int] = 97

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = evaluation.training_margin
        return None if values is None else values.mean(dim=1)


class ValidationMargin(_MeanMargin):
    """Mean margin of the validation examples: the correct output minus the largest other one.

    It can keep growing, pushing the classes further apart, after the last training example is
    classified correctly and the 0-1 loss no longer changes.
    """

    name: ClassVar[str] = "validation_margin"
    label: ClassVar[str] = "Validation margin"
    sort_order: ClassVar[int] = 98

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = evaluation.validation_margin
        return None if values is None else values.mean(dim=1)
