"""Monitor of ill-conditioning: the predicted change of a step beside the actual change."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from optlab.catalogue.instruments.base import Instrument, Quantity, Reading, StepContext, schedule
from optlab.core.fields import choice
from optlab.core.lazy import torch


class Conditioning(Instrument):
    """Predicted change of the objective in a step, beside the actual change on the same batch.

    The prediction uses gradient and curvature along the step. To second order a gradient step
    changes the objective by two terms: the slope lowers it, the curvature along the gradient raises
    it. Where the second term exceeds the first, the step goes uphill although it follows the
    negative gradient: the Hessian is ill-conditioned, and only a smaller rate helps. The flag is
    then 1, and the learning rate exceeds the largest rate that goes downhill.

    With momentum or per-weight rates, the actual step differs from −εg. Predicted and actual change
    are those of the actual step, or on request those of −εg; the flag and the largest rate always
    belong to −εg.
    """

    name: ClassVar[str] = "conditioning"
    label: ClassVar[str] = "Conditioning"
    group: ClassVar[str] = "Curvature"
    sort_order: ClassVar[int] = 10
    rule: ClassVar[tuple[str, ...]] = (
        r"J(\theta - \epsilon g) - J(\theta) \approx \frac{1}{2} \epsilon^2 g^\top H g - \epsilon "
        r"g^\top g",
        r"\text{trouble:}\quad \frac{1}{2} \epsilon^2 g^\top H g > \epsilon g^\top g,\quad "
        r"\epsilon_\text{max} = \frac{2 g^\top g}{g^\top H g}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "J": "objective on the batch of the step, including weight decay",
        "g, H": "its gradient and Hessian at the point of the gradient",
        "ε": "learning rate",
    }
    source: ClassVar[str] = (
        "Notes, (8.10), section on ill-conditioning; I. Goodfellow et al., Deep Learning, section "
        "8.2.1."
    )
    usual: ClassVar[bool] = True
    keeps_tensors: ClassVar[bool] = False
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
        "Every 100 steps costs a few percent of the training, and conditioning changes no faster.",
    )
    step: Literal["gradient", "taken"] = choice(
        "taken",
        "Step",
        help="Step whose predicted and actual change are compared. taken: the step of the "
        "optimizer; gradient: the step −εg of (8.10). For plain SGD both are the same.",
    )

    def read(self, context: StepContext, memory: dict[str, Any]) -> Reading:
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
                "actual": context.value(end) - context.batch_value,
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
        """Return the largest rate ``[R]`` that goes downhill, infinite without positive ``ghg``.

        Args:
            gg: squared norms ``[R]``.
            ghg: curvatures ``[R]`` along the gradient.
        """
        return torch.where(ghg > 0.0, 2.0 * gg / ghg, float("inf"))
