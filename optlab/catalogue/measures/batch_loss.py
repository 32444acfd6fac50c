"""Loss on the batch of each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Step, StepMeasure

if TYPE_CHECKING:
    import torch


class BatchLoss(StepMeasure):
    """Mean loss of the examples of a step's batch, before the step: a noisy view of the training
    loss, for free.
    """

    name: ClassVar[str] = "batch_loss"
    label: ClassVar[str] = "Training loss (batch)"
    sort_order: ClassVar[int] = 10
    source: ClassVar[str] = "Notes, (8.1) on a minibatch."
    log: ClassVar[bool] = True

    def take(self, step: Step) -> torch.Tensor:
        return step.loss
