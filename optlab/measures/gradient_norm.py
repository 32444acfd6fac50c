"""Norm of the gradient of each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.measures.base import Step, StepMeasure

if TYPE_CHECKING:
    import torch


class GradientNorm(StepMeasure):
    """Euclidean norm of the batch gradient, before clipping.

    If it does not shrink to insignificance, the run is at no critical point of any kind, whatever else holds it back.
    """

    name: ClassVar[str] = "gradient_norm"
    label: ClassVar[str] = "Gradient norm"
    place: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (r"\left\| g \right\|",)
    source: ClassVar[str] = "Notes, Figure 8.1 and the test for local minima."
    log: ClassVar[bool] = True

    def take(self, step: Step) -> torch.Tensor:
        return step.gradient_norm
