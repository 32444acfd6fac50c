"""Penalty: the weight-decay terms of the objective."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure

if TYPE_CHECKING:
    import torch


class Penalty(EvaluationMeasure):
    """What weight decay adds to the objective, apart from the loss on data; there is none where the
    loss has no weight decay.

    The objective that the optimizer lowers is the training loss and this. Weight decay that an
    optimizer does on its own (AdamW) is no part of an objective.
    """

    name: ClassVar[str] = "penalty"
    label: ClassVar[str] = "Weight-decay terms"
    sort_order: ClassVar[int] = 95
    rule: ClassVar[tuple[str, ...]] = (
        r"\lambda_1 \lVert W \rVert_1 + \tfrac{1}{2} \lambda_2 \lVert W \rVert^2",
    )
    symbols: ClassVar[dict[str, str]] = {
        "W": "the weights, biases left out",
        "λ₁": "weight decay L1",
        "λ₂": "weight decay L2",
    }
    source: ClassVar[str] = "Notes, (8.1), (8.3) with weight decay."
    log: ClassVar[bool] = True

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        return evaluation.penalty
