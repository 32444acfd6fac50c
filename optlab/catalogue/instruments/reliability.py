"""Reliability of predicted class probabilities."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from optlab.catalogue.instruments.base import (
    Instrument,
    Quantity,
    Reading,
    Setting,
    StepContext,
    schedule,
)
from optlab.core.data import LearningTask
from optlab.core.fields import choice, integer
from optlab.core.lazy import torch


class Reliability(Instrument):
    """Accuracy of the most probable class, against the probability that the model assigns to it.

    Where a model says 80%, it should be right 8 times in 10. A network that is trained further
    after its training error is gone pushes probabilities to 1 and becomes overconfident: the curve
    drops below the diagonal, and cross-entropy rises on the validation set although the 0-1 error
    does not.
    """

    name: ClassVar[str] = "reliability"
    label: ClassVar[str] = "Reliability of probabilities"
    group: ClassVar[str] = "Predictions"
    sort_order: ClassVar[int] = 100
    rule: ClassVar[tuple[str, ...]] = (
        r"\text{ECE} = \sum_b \frac{n_b}{n} \left| \text{acc}_b - \text{conf}_b \right|",
    )
    symbols: ClassVar[dict[str, str]] = {
        "b": "bin of the probability of the most probable class; all bins have the same width",
        "n_b": "number of examples in the bin, out of n",
        "acc_b, conf_b": "share of them that are correct, and their mean probability",
    }
    source: ClassVar[str] = (
        "Chapter row O4; M. Pakdaman Naeini et al. (2015); C. Guo et al. (2017), On calibration of "
        "modern neural networks."
    )
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)
    gives: ClassVar[tuple[Quantity, ...]] = (
        Quantity("ece", "Expected calibration error"),
        Quantity("overconfidence", "Mean probability minus accuracy"),
    )
    draws: ClassVar[str] = (
        "The reliability curve: mean probability, accuracy and count of each bin, and the edges of "
        "the bins."
    )

    every: int = schedule(200, "A reading costs an evaluation, so it is about as frequent.")
    part: Literal["training", "validation"] = choice(
        "validation", "Part", help="Part of the data on which it is computed."
    )
    bins: int = integer(
        10,
        "Bins",
        ge=2,
        le=100,
        slider=(5, 30),
        help="Number of bins.",
        why="The usual number; with few examples the error grows with the number of bins.",
    )

    def refusal(self, setting: Setting) -> str:
        if not setting.probabilities:
            return (
                "it needs predicted class probabilities, but with this loss the outputs are not "
                "probabilities; use the loss cross_entropy."
            )
        if self.part == "validation" and not setting.validation:
            return (
                "it uses the validation part, but there is none; make dataset.validation larger, "
                "or set its field part to training."
            )
        return ""

    def read(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        predictions = context.probabilities(self.part)
        if predictions is None:
            return Reading({})
        probabilities, y = predictions
        confidence, predicted = probabilities.max(dim=2)
        correct = (predicted == y).to(confidence)
        index = (confidence * self.bins).nan_to_num(0.0).long().clamp(0, self.bins - 1)
        empty = torch.zeros(
            len(confidence), self.bins, dtype=confidence.dtype, device=confidence.device
        )
        count = empty.scatter_add(1, index, torch.ones_like(confidence))
        total_confidence, total_correct = (
            empty.scatter_add(1, index, confidence),
            empty.scatter_add(1, index, correct),
        )
        error = (total_correct - total_confidence).abs().sum(dim=1) / confidence.shape[1]

        def draw() -> dict[str, torch.Tensor]:
            edges = torch.linspace(
                0.0, 1.0, self.bins + 1, dtype=count.dtype, device=count.device
            ).expand(len(count), -1)
            return {
                "edges": edges,
                "probability": total_confidence / count,
                "accuracy": total_correct / count,
                "count": count,
            }

        return Reading(
            {"ece": error, "overconfidence": confidence.mean(dim=1) - correct.mean(dim=1)}, draw
        )

    def cost(self) -> str:
        return "an evaluation of the part"
