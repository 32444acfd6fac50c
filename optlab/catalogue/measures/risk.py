"""The risk, estimated on fresh examples, and its gap to the training loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure
from optlab.core.data import LearningTask

if TYPE_CHECKING:
    import torch


class RiskLoss(EvaluationMeasure):
    """Mean loss over fresh examples of the distribution: an estimate of the risk J*.

    The risk is what learning should minimize. For data sets with a known distribution, where the
    measure plan requests fresh examples. Each evaluation draws new ones, so repeated
    evaluations do not bias the estimate, and all runs that are trained together are evaluated on
    the same ones.
    """

    name: ClassVar[str] = "risk_loss"
    label: ClassVar[str] = "Risk (fresh examples)"
    sort_order: ClassVar[int] = 90
    rule: ClassVar[tuple[str, ...]] = (
        r"J^*(\theta) = \mathbb{E}_{(x, y) \sim p_{\text{data}}}\, L(f(x; \theta), y)",
    )
    symbols: ClassVar[dict[str, str]] = {"p_data": "the distribution that generates the data"}
    source: ClassVar[str] = "Notes, (8.2)."
    log: ClassVar[bool] = True

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        return evaluation.fresh_loss


class RiskExcess(EvaluationMeasure):
    """The risk minus its minimum over all predictions: what is left to learn of the distribution.

    It is measured on the same fresh examples as the risk, against the best possible predictions,
    so that their noise cancels near the minimum. With independent examples no algorithm lowers it
    faster than 1/k in k steps (Cramér–Rao; Bottou and Bousquet), whatever becomes of the training
    loss: a sampling order that beats 1/k on stored examples gains nothing here. A model that cannot
    represent the best predictions keeps a remainder. For data sets whose expected targets are
    known, where the measure plan requests fresh examples.
    """

    name: ClassVar[str] = "risk_excess"
    label: ClassVar[str] = "Risk above its minimum"
    sort_order: ClassVar[int] = 93
    rule: ClassVar[tuple[str, ...]] = (
        r"J^*(\theta) - \min_f\, \mathbb{E}_{(x, y) \sim p_{\text{data}}}\, L(f(x), y)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "J*": "the risk, (8.2)",
        "p_data": "the distribution that generates the data",
    }
    source: ClassVar[str] = (
        "Notes, section 8.3.1: generalization error cannot decrease faster than 1/k; L. Bottou, "
        "O. Bousquet (2008), The tradeoffs of large scale learning."
    )
    log: ClassVar[bool] = True

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        return evaluation.fresh_excess


class RiskError(EvaluationMeasure):
    """Share of fresh examples of the distribution whose most probable class is wrong.

    For data sets with a known distribution, where the measure plan requests fresh examples.
    """

    name: ClassVar[str] = "risk_error"
    label: ClassVar[str] = "Error (fresh examples)"
    sort_order: ClassVar[int] = 91
    source: ClassVar[str] = "Notes, (8.2) with the 0-1 loss."
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        return evaluation.fresh_error


class RiskGap(EvaluationMeasure):
    """Generalization gap: the risk on fresh examples minus the training loss.

    It is positive where the training set has been memorized, and about zero while the stored
    examples are as good as fresh ones.
    """

    name: ClassVar[str] = "risk_gap"
    label: ClassVar[str] = "Gap between risk and training loss"
    sort_order: ClassVar[int] = 92
    rule: ClassVar[tuple[str, ...]] = (r"J^*(\theta) - J(\theta)",)
    symbols: ClassVar[dict[str, str]] = {"J*": "the risk, (8.2)", "J": "the empirical risk, (8.3)"}
    source: ClassVar[str] = "Notes, (8.2) and (8.3): empirical risk minimization and overfitting."

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        if evaluation.fresh_loss is None:
            return None
        return evaluation.fresh_loss - evaluation.training_loss.mean(dim=1)
