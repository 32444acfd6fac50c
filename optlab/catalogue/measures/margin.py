"""Margin on the training set."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures._margins import MeasureOfMargins
from optlab.catalogue.measures.base import Evaluation

if TYPE_CHECKING:
    import torch


class Margin(MeasureOfMargins):
    """Mean over the training examples of the output of the right class less the largest of the
    others.

    It can go on growing, and the classes be pushed further apart, after the last training example
    is right and the 0-1 loss has nothing more to say.
    """

    name: ClassVar[str] = "margin"
    label: ClassVar[str] = "Training margin"
    sort_order: ClassVar[int] = 97

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = evaluation.training_margin
        return None if values is None else values.mean(dim=1)
