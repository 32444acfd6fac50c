"""Margin on the training set."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.data import Task
from optlab.measures.base import Evaluation, EvaluationMeasure

if TYPE_CHECKING:
    import torch


class Margin(EvaluationMeasure):
    """Mean over the training examples of the output of the right class less the largest of the others.

    It can go on growing, and the classes be pushed further apart, after the last training example is right and the 0-1 loss has nothing more to say.
    """

    name: ClassVar[str] = "margin"
    label: ClassVar[str] = "Training margin"
    place: ClassVar[int] = 97
    rule: ClassVar[tuple[str, ...]] = (r"\frac{1}{n} \sum_i \left(f_{y_i}(x_i) - \max_{k \neq y_i} f_k(x_i)\right)",)
    symbols: ClassVar[dict[str, str]] = {"f_k": "output for class k", "n": "number of examples"}
    source: ClassVar[str] = "Notes, surrogate loss functions."
    tasks: ClassVar[tuple[Task, ...]] = ("classes",)
    log: ClassVar[bool] = False

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = evaluation.training_margin
        return None if values is None else values.mean(dim=1)
