"""Risk of the 0-1 loss: the error on fresh examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure
from optlab.core.data import LearningTask

if TYPE_CHECKING:
    import torch


class RiskError(EvaluationMeasure):
    """Share of fresh examples of the distribution whose most probable class is wrong.

    For data sets whose distribution is known, where the measure plan asks for fresh examples.
    """

    name: ClassVar[str] = "risk_error"
    label: ClassVar[str] = "Error (fresh examples)"
    sort_order: ClassVar[int] = 91
    source: ClassVar[str] = "Notes, (8.2) with the 0-1 loss."
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)
    log: ClassVar[bool] = False

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        return evaluation.fresh_error
