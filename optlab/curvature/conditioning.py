"""The monitor of ill-conditioning (8.10): what a gradient step is predicted to change, and what it
changed.

To second order a step ``−εg`` changes the objective by ``½ε²gᵀHg − εgᵀg``. Where the first term
outgrows the second the step goes uphill although it follows the gradient: ill-conditioning is then
what limits the learning rate.
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
            where it was not asked for.
        trouble: whether ``½ε²gᵀHg > εgᵀg``, bool.
    """

    gg: torch.Tensor
    ghg: torch.Tensor
    predicted: torch.Tensor
    actual: torch.Tensor | None
    trouble: torch.Tensor

    @property
    def largest_rate(self) -> torch.Tensor:
        """The rate ``2gᵀg/gᵀHg`` beyond which the step goes uphill, infinite where the curvature
        along g is not positive.
        """
        return torch.where(self.ghg > 0.0, 2.0 * self.gg / self.ghg, float("inf"))


def along_gradient(
    objective: Objective, theta: torch.Tensor, g: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """``gᵀHg`` ``[R]`` at ``theta``, for any direction ``g`` ``[R, P]``."""
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
    """The monitor at ``theta`` ``[R, P]`` on one batch a run.

    Args:
        rate: ε, ``[R]`` or a number. gradient: of the objective on this batch where it is known,
            ``[R, P]``.
        after: the parameters after the step that was taken; by default those of the gradient step
            itself, ``θ − εg``.
        actual: whether to find out what the step changes on the same batch, two more evaluations.
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
