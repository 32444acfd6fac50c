"""Norm of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure

if TYPE_CHECKING:
    import torch


class WeightNorm(EvaluationMeasure):
    """Euclidean norm of all weights, biases left out.

    Where classes can be separated, cross-entropy has no minimum: the loss tends to 0 without
    reaching it, and this grows without end.
    """

    name: ClassVar[str] = "weight_norm"
    label: ClassVar[str] = "Weight norm"
    sort_order: ClassVar[int] = 96
    rule: ClassVar[tuple[str, ...]] = (r"\lVert W \rVert = \sqrt{\sum_i W_i^2}",)
    symbols: ClassVar[dict[str, str]] = {"W": "the weights, biases left out"}
    source: ClassVar[str] = "Notes, ill-posed objectives: a loss without a minimum."
    log: ClassVar[bool] = True

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        return evaluation.weight_norm
