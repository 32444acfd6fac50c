"""Squared error: the negative log-likelihood of a Gaussian, up to constants."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.losses.base import Loss
from optlab.core.data import LearningTask
from optlab.core.lazy import torch


class SquaredError(Loss):
    """Squared distance between outputs and target, summed over the outputs of an example.

    For classes the target is a one-hot vector. With a linear model the loss is a quadratic function
    of the parameters: the case in which every statement about conditioning is exact.
    """

    name: ClassVar[str] = "squared_error"
    label: ClassVar[str] = "Squared error"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (r"L = \left\| f(x;\theta) - y \right\|^2",)
    source: ClassVar[str] = (
        "Deep Learning, section 5.1.4; (8.4) with a Gaussian model of unit variance, times two."
    )
    differences: ClassVar[str] = (
        "torch.nn.MSELoss also divides by the number of outputs; the two agree for one output."
    )
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes", "regression")
    canonical: ClassVar[bool] = True

    def per_example(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (outputs - _target(outputs, y)).square().sum(dim=2)

    def with_gradient(
        self, outputs: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        residual = outputs - _target(outputs, y)
        m = y.shape[1]
        return residual.square().sum(dim=(1, 2)) / m, residual.mul_(2.0 / m)

    def best_outputs(self, expected: torch.Tensor) -> torch.Tensor | None:
        return expected

    def written(self, task: LearningTask) -> str:
        target = "F.one_hot(y, outputs.shape[1])" if task == "classes" else "y"
        return f"(outputs - {target}).square().sum(dim=1)"

    def fisher_product(self, outputs: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        # ‖f − y‖² is the negative log-likelihood of a Gaussian with variance ½.
        return 2.0 * u

    def draw(self, outputs: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
        # The least number that is drawn, 0, would be infinitely far out.
        normal = torch.special.ndtri(uniforms.clamp(min=2.0**-60))
        drawn: torch.Tensor = outputs + (0.5**0.5 * normal).to(outputs)
        return drawn


def _target(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return ``y`` as values ``[R, m, outputs]``: classes become one-hot vectors."""
    if y.is_floating_point():
        return y
    # Not torch's one_hot, which reads the values first: such steps cannot be recorded.
    classes = torch.arange(outputs.shape[2], device=y.device)
    return (y.unsqueeze(2) == classes).to(outputs.dtype)
