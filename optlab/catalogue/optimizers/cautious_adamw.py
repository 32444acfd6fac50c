"""Cautious AdamW: steps only where the momentum agrees with the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _per_tensor as per_tensor
from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class CautiousAdamW(Optimizer):
    """AdamW that leaves out the values whose step would increase the loss, to first order.

    Momentum carries parameters past the point at which their gradient changes its sign. Where the
    signs of step and gradient differ, the step is set to zero; the others are lengthened by the
    share that remains in their tensor. The momentum itself goes on as before.
    """

    name: ClassVar[str] = "cautious_adamw"
    label: ClassVar[str] = "Cautious AdamW"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 84
    rule: ClassVar[tuple[str, ...]] = (
        r"s \leftarrow \rho_1 s + (1 - \rho_1)\, g,\quad r \leftarrow \rho_2 r + (1 - \rho_2)\, g"
        r" \odot g",
        r"\hat{s} = \frac{s}{1 - \rho_1^t},\quad \hat{r} = \frac{r}{1 - \rho_2^t}",
        r"\mu = [\,s \odot g > 0\,],\quad c_i = \frac{n_i}{\sum \mu_i + 1}",
        r"\theta_i \leftarrow (1 - \epsilon \lambda)\, \theta_i - \epsilon\, c_i\, \mu_i \odot"
        r" \frac{\hat{s}_i}{\sqrt{\hat{r}_i} + \delta}",
    )
    traced: ClassVar[tuple[str, ...]] = ("s", "r", "s_hat", "r_hat", "mask", "factor", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters, and θᵢ those of tensor i, nᵢ in number",
        "g": "gradient of the objective on the batch",
        "s": "first moment, initially 0",
        "r": "second moment, initially 0",
        "μ": "mask: 1 where step and gradient agree, else 0",
        "c": "factor that makes up for the values that are left out",
        "t": "step number, starting from 1",
    }
    elementwise: ClassVar[bool] = False
    source: ClassVar[str] = (
        "K. Liang et al., Cautious Optimizers: Improving Training with One Line of Code (2024),"
        " algorithm 1; not in the notes."
    )
    differences: ClassVar[str] = (
        "The authors' code divides by the mean of the mask, at least 0.001, instead of (Σm + 1)/n as"
        " in the paper and here. The weight decay is not masked."
    )
    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {"betas": ("beta1", "beta2")}

    lr: float = shared.learning_rate(
        0.001,
        help="Approximate length of the step of each parameter.",
        why="The default of Adam; the authors keep the settings of AdamW.",
    )
    beta1: float = shared.first_moment_decay(0.9)
    beta2: float = shared.second_moment_decay(0.999)
    eps: float = shared.small_constant(
        1e-8,
        help="Keeps the division finite where the gradient is zero; added outside the square root.",
    )
    weight_decay: float = shared.weight_decay(
        0.01, why="The default of AdamW. Set the L2 penalty of the loss to zero, or both act."
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"s": torch.zeros_like(theta), "r": torch.zeros_like(theta)}

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        s = h.beta1 * state["s"] + (1.0 - h.beta1) * g
        r = h.beta2 * state["r"] + (1.0 - h.beta2) * g * g
        s_hat = s / (1.0 - h.beta1**h.step)
        r_hat = r / (1.0 - h.beta2**h.step)
        mask = (s * g > 0.0).to(theta.dtype)
        sizes = per_tensor.numbers(h.layout.sizes, theta)
        factor = sizes / (per_tensor.means(mask, h.layout) * sizes + 1.0)
        step = per_tensor.spread(factor, h.layout) * mask * s_hat / (r_hat.sqrt() + h.eps)
        return (1.0 - h.lr * h.weight_decay) * theta - h.lr * step, {"s": s, "r": r}
