"""Generalization gap: risk less empirical risk."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure

if TYPE_CHECKING:
    import torch


class RiskGap(EvaluationMeasure):
    """The risk on fresh examples less the training loss: what minimizing the empirical risk in its
    place has cost.

    It is positive where the training set has been memorized, and about zero while the stored
    examples are as good as fresh ones.
    """

    name: ClassVar[str] = "risk_gap"
    label: ClassVar[str] = "Gap between risk and training loss"
    sort_order: ClassVar[int] = 92
    rule: ClassVar[tuple[str, ...]] = (r"J^*(\theta) - J(\theta)",)
    symbols: ClassVar[dict[str, str]] = {"J*": "the risk, (8.2)", "J": "the empirical risk, (8.3)"}
    source: ClassVar[str] = "Notes, (8.2) and (8.3): empirical risk minimization and overfitting."
    log: ClassVar[bool] = False

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        if evaluation.fresh_loss is None:
            return None
        return evaluation.fresh_loss - evaluation.training_loss.mean(dim=1)
