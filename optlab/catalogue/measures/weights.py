"""Values of the weights that are followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Step, StepMeasure

if TYPE_CHECKING:
    import torch


class Weights(StepMeasure):
    """The followed weights after each step, one column a weight."""

    name: ClassVar[str] = "weights"
    label: ClassVar[str] = "Weights"
    sort_order: ClassVar[int] = 40
    source: ClassVar[str] = "Notes, Figure 8.5: the path of the parameters."
    log: ClassVar[bool] = False

    def take(self, step: Step) -> torch.Tensor:
        return step.after.index_select(1, step.tracked)
