"""The monitor of ill-conditioning: what a step is predicted to change, beside what it changed."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from optlab.catalogue.instruments.base import Instrument, Quantity, Reading, StepContext, schedule
from optlab.core.fields import choice
from optlab.core.lazy import torch


class Conditioning(Instrument):
    """Predicted change of the objective in a step, from gradient and curvature along it, beside the
    actual change on the same batch.

    To second order a gradient step changes the objective by its two terms: the slope takes it down,
    the curvature along the gradient brings it up. Where the second outgrows the first, the step
    goes uphill although it follows the gradient: the Hessian is ill-conditioned, and only a smaller
    rate helps. Then the flag is 1, and the rate is above the largest that is told here.

    With momentum or a rate of each weight's own, the step taken is another than −εg: predicted and
    actual change are those of the step taken, or on request those of −εg. The flag and the largest
    rate always belong to −εg.
    """

    name: ClassVar[str] = "conditioning"
    label: ClassVar[str] = "Conditioning"
    group: ClassVar[str] = "Curvature"
    sort_order: ClassVar[int] = 10
    rule: ClassVar[tuple[str, ...]] = (
        r"J(\theta - \epsilon g) - J(\theta) \approx \frac{1}{2} \epsilon^2 g^\top H g - \epsilon g^\top g",
        r"\text{trouble:}\quad \frac{1}{2} \epsilon^2 g^\top H g > \epsilon g^\top g,\quad \epsilon_\text{max} = \frac{2 g^\top g}{g^\top H g}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "J": "objective on the batch of the step, weight decay included",
        "g, H": "its gradient and Hessian, where the gradient is taken",
        "ε": "learning rate",
    }
    source: ClassVar[str] = (
        "Notes, (8.10), section on ill-conditioning; I. Goodfellow et al., Deep Learning, section 8.2.1."
    )
    usual: ClassVar[bool] = True
    gives: ClassVar[tuple[Quantity, ...]] = (
        Quantity("gg", "gᵀg", log=True, axis="gᵀg and gᵀHg"),
        Quantity("ghg", "gᵀHg", log=True, axis="gᵀg and gᵀHg"),
        Quantity("predicted", "Predicted change", axis="Change of the objective"),
        Quantity("actual", "Actual change", axis="Change of the objective"),
        Quantity("trouble", "Uphill (1 or 0)"),
        Quantity("largest_rate", "Largest rate that goes downhill", log=True),
    )

    every: int = schedule(
        100,
        "Every 100 steps costs a few percent of the training, and conditioning does not change faster.",
    )
    step: Literal["gradient", "taken"] = choice(
        "taken",
        "Step",
        help=(
            "Step whose predicted and actual change are compared. taken: the step of the optimizer; "
            "gradient: the step −εg of (8.10). For plain SGD both are the same."
        ),
    )

    def take(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        g = context.gradient
        gg, ghg = g.square().sum(dim=1), context.along(g)
        rate = context.rate
        gradient_slope, gradient_bend = -rate * gg, 0.5 * rate.square() * ghg
        if self.step == "taken" and context.stepped:
            step = context.after - context.theta
            slope, bend = (g * step).sum(dim=1), 0.5 * context.along(step)
            end = context.after
        else:
            slope, bend = gradient_slope, gradient_bend
            end = context.theta - rate.unsqueeze(1) * g
        return Reading(
            {
                "gg": gg,
                "ghg": ghg,
                "predicted": bend + slope,
                "actual": context.value(end) - context.here,
                "trouble": (gradient_bend > -gradient_slope).to(gg),
                "largest_rate": self._largest(gg, ghg),
            }
        )

    def cost(self) -> str:
        return (
            "two to three plain steps" if self.step == "gradient" else "three to five plain steps"
        )

    @staticmethod
    def _largest(gg: torch.Tensor, ghg: torch.Tensor) -> torch.Tensor:
        """Without a limit, infinite: the curvature along the gradient is not positive."""
        return torch.where(ghg > 0.0, 2.0 * gg / ghg, float("inf"))
