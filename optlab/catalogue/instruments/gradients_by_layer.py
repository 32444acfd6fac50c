"""Gradients by tensor."""

from __future__ import annotations

from typing import Any, ClassVar

from optlab.catalogue.instruments.base import (
    Instrument,
    Named,
    Quantity,
    Reading,
    StepContext,
    schedule,
)
from optlab.core.lazy import torch


class GradientsByLayer(Instrument):
    """Norm and spread of the gradient of each of the model's tensors.

    Gradients that shrink from the output down to the input vanish, those that grow explode: with
    one learning rate for all, the lower layers then learn much more slowly, or jump.
    """

    name: ClassVar[str] = "gradients_by_layer"
    label: ClassVar[str] = "Gradients by layer"
    group: ClassVar[str] = "By layer"
    sort_order: ClassVar[int] = 60
    source: ClassVar[str] = (
        "Notes, cliffs and exploding gradients, long-term dependencies; X. Glorot, Y. Bengio "
        "(2010), figures 6 and 7."
    )
    usual: ClassVar[bool] = True
    keeps_tensors: ClassVar[bool] = False
    gives: ClassVar[tuple[Quantity, ...]] = (
        Quantity("norm", "Gradient norm by tensor", log=True, vector=True),
        Quantity("std", "Standard deviation of the gradient by tensor", log=True, vector=True),
    )

    every: int = schedule(100, "Often enough to show changes, at 1% of the training.")

    def read(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        moments = [
            torch.var_mean(part, dim=1, correction=0)
            for part in context.gradient.split(context.layout.sizes, 1)
        ]
        variance = torch.stack([variance for variance, _ in moments], dim=1)
        mean = torch.stack([mean for _, mean in moments], dim=1)
        sizes = torch.tensor(context.layout.sizes).to(variance)
        names = tuple(spec.name for spec in context.layout.parameters)
        return Reading(
            {
                "norm": Named(((variance + mean.square()) * sizes).sqrt(), names),
                "std": Named(variance.sqrt(), names),
            }
        )

    def cost(self) -> str:
        return "less than half a plain step"
