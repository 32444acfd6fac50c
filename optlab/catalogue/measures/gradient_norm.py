"""Norm of the gradient of each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Step, StepMeasure

if TYPE_CHECKING:
    import torch


class GradientNorm(StepMeasure):
    """Euclidean norm of the batch gradient, before clipping.

    It has a noise floor: the gradient of a batch of m examples deviates from the full gradient by
    about σ/√m, where σ² is the variance of the gradients of single examples, summed over all
    components. So it does not vanish at a minimum, unless σ does: that it has not shrunk says
    nothing about critical points. The gradient-norm test is made with the full gradient norm
    instead.
    """

    name: ClassVar[str] = "gradient_norm"
    label: ClassVar[str] = "Gradient norm"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (
        r"\left\| g \right\|",
        r"\mathbb{E} \left\| g \right\|^2 = \left\| \nabla J(\theta) \right\|^2 + \frac{\sigma^2}{m}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "g": "gradient of the objective on a batch",
        "∇J": "full gradient, on the whole training set",
        "σ²": "variance of the gradients of single examples, summed over all components",
        "m": "examples of a batch",
    }
    source: ClassVar[str] = "Notes, Figure 8.1 and the batch size."
    log: ClassVar[bool] = True

    def take(self, step: Step) -> torch.Tensor:
        return step.gradient_norm
