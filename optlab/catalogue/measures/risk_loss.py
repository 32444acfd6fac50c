"""Risk: the loss on fresh examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure

if TYPE_CHECKING:
    import torch


class RiskLoss(EvaluationMeasure):
    """Mean loss over fresh examples of the distribution: an estimate of the risk J*, which learning
    is really about.

    For data sets whose distribution is known, where the measure plan asks for fresh examples. They
    are drawn anew at each evaluation, so that no number of looks wears them out, and all runs that
    are trained together are judged on the same ones.
    """

    name: ClassVar[str] = "risk_loss"
    label: ClassVar[str] = "Risk (fresh examples)"
    sort_order: ClassVar[int] = 90
    rule: ClassVar[tuple[str, ...]] = (
        r"J^*(\theta) = \mathbb{E}_{(x, y) \sim p_{\text{data}}}\, L(f(x; \theta), y)",
    )
    symbols: ClassVar[dict[str, str]] = {"p_data": "the distribution that makes the data"}
    source: ClassVar[str] = "Notes, (8.2)."
    log: ClassVar[bool] = True

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        return evaluation.fresh_loss
