"""Size of a step relative to the size of the weights."""

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


class UpdateRatio(Instrument):
    """Norm of the last update over the norm of the weights, for each of the model's tensors.

    About 1/1000 per step is common in healthy training. Far above, the weights fluctuate wildly;
    far below, the layer hardly learns. A tensor that is entirely zero, as biases are at the start,
    has no ratio.
    """

    name: ClassVar[str] = "update_ratio"
    label: ClassVar[str] = "Update-to-weight ratio"
    group: ClassVar[str] = "By layer"
    sort_order: ClassVar[int] = 70
    rule: ClassVar[tuple[str, ...]] = (
        r"\frac{\left\| \theta_k - \theta_{k-1} \right\|}{\left\| \theta_{k-1} \right\|}",
    )
    symbols: ClassVar[dict[str, str]] = {"θ_k": "values of one tensor after k steps"}
    source: ClassVar[str] = (
        "A rule of thumb; A. Karpathy, CS231n notes on babysitting the learning process."
    )
    usual: ClassVar[bool] = True
    keeps_tensors: ClassVar[bool] = False
    gives: ClassVar[tuple[Quantity, ...]] = (
        Quantity("ratio", "Update over weight by tensor", log=True, vector=True),
    )

    every: int = schedule(100, "Often enough to show changes, at less than 1% of the training.")

    def read(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        update = self._norms(context, context.after - context.before)
        weight = self._norms(context, context.before)
        ratio = torch.where(weight > 0.0, update / weight, float("nan"))
        return Reading(
            {"ratio": Named(ratio, tuple(spec.name for spec in context.layout.parameters))}
        )

    def cost(self) -> str:
        return "less than half a plain step"

    @staticmethod
    def _norms(context: StepContext, values: torch.Tensor) -> torch.Tensor:
        return torch.stack(
            [
                torch.linalg.vector_norm(part, dim=1)
                for part in values.split(context.layout.sizes, 1)
            ],
            dim=1,
        )
