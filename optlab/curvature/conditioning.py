"""A monitor of ill-conditioning (8.10): predicted and actual change of a gradient step.

To second order a step ``−εg`` changes the objective by ``½ε²gᵀHg − εgᵀg``. Where the first term
exceeds the second the step goes uphill although it follows the gradient: ill-conditioning then
limits the learning rate.
"""

from __future__ import annotations

from dataclasses import dataclass

from optlab.core.lazy import torch
from optlab.curvature.landscape import ObjectiveLandscape
from optlab.objective.objective import Objective


@dataclass(frozen=True)
class Conditioning:
    """The terms of (8.10), each ``[R]``.

    Attributes:
        gg: ``gᵀg``. ghg: ``gᵀHg``.
        predicted: ``½ε²gᵀHg − εgᵀg``. actual: the change of the objective on the same batch; None
            where it was not requested.
        trouble: whether ``½ε²gᵀHg > εgᵀg``, bool.
    """

    gg: torch.Tensor
    ghg: torch.Tensor
    predicted: torch.Tensor
    actual: torch.Tensor | None
    trouble: torch.Tensor

    @property
    def largest_rate(self) -> torch.Tensor:
        """The rate ``2gᵀg/gᵀHg`` ``[R]`` beyond which the step goes uphill.

        It is infinite where the curvature along g is not positive.
        """
        return torch.where(self.ghg > 0.0, 2.0 * self.gg / self.ghg, float("inf"))


def along_gradient(
    objective: Objective, theta: torch.Tensor, g: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """Return ``gᵀHg`` ``[R]`` at ``theta``, for any direction ``g`` ``[R, P]``."""
    return ObjectiveLandscape(objective, x, y).hessian(theta).along(g)


def conditioning(
    objective: Objective,
    theta: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    rate: torch.Tensor | float,
    *,
    gradient: torch.Tensor | None = None,
    after: torch.Tensor | None = None,
    actual: bool = True,
) -> Conditioning:
    """Return the monitor's terms at ``theta`` ``[R, P]`` on one batch a run.

    Args:
        x, y: ``[R, m, …]``. rate: ε, ``[R]`` or a number.
        gradient: of the objective on this batch where it is known, ``[R, P]``.
        after: the parameters ``[R, P]`` after an actual step; by default those of the gradient
            step, ``θ − εg``.
        actual: whether to compute what the step changes on the same batch: two more evaluations.
    """
    landscape = ObjectiveLandscape(objective, x, y)
    value: torch.Tensor | None = None
    if gradient is None:
        value, gradient = landscape.value_and_gradient(theta)
    epsilon = torch.as_tensor(rate, dtype=theta.dtype, device=theta.device).expand(theta.shape[0])
    gg = gradient.square().sum(dim=1)
    ghg = landscape.hessian(theta).along(gradient)
    uphill, downhill = 0.5 * epsilon.square() * ghg, epsilon * gg
    change: torch.Tensor | None = None
    if actual:
        end = theta - epsilon.unsqueeze(1) * gradient if after is None else after
        change = landscape.value(end) - (landscape.value(theta) if value is None else value)
    return Conditioning(gg, ghg, uphill - downhill, change, uphill > downhill)
