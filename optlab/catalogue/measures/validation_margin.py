"""Margin on the validation set."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures._margins import MeasureOfMargins
from optlab.catalogue.measures.base import Evaluation

if TYPE_CHECKING:
    import torch


class ValidationMargin(MeasureOfMargins):
    """Mean over the validation examples of the output of the right class less the largest of the
    others.

    It can go on growing, and the classes be pushed further apart, after the last training example
    is right and the 0-1 loss has nothing more to say.
    """

    name: ClassVar[str] = "validation_margin"
    label: ClassVar[str] = "Validation margin"
    sort_order: ClassVar[int] = 98

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        values = evaluation.validation_margin
        return None if values is None else values.mean(dim=1)
