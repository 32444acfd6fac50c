"""LAMB: Adam with a step of each tensor in proportion to its norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _per_tensor as per_tensor
from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class LAMB(Optimizer):
    """Adam whose step of each tensor is as long as a fixed share of the tensor.

    With large batches the rate that one layer tolerates makes another diverge. LAMB normalizes the
    step of every weight matrix and every bias vector and multiplies it by the norm of that tensor,
    so that ε is the relative change of each tensor per step.
    """

    name: ClassVar[str] = "lamb"
    label: ClassVar[str] = "LAMB"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 82
    rule: ClassVar[tuple[str, ...]] = (
        r"s \leftarrow \rho_1 s + (1 - \rho_1)\, g,\quad r \leftarrow \rho_2 r + (1 - \rho_2)\, g"
        r" \odot g",
        r"\hat{s} = \frac{s}{1 - \rho_1^t},\quad \hat{r} = \frac{r}{1 - \rho_2^t}",
        r"u = \frac{\hat{s}}{\sqrt{\hat{r}} + \delta} + \lambda \theta",
        r"\theta_i \leftarrow \theta_i - \epsilon\, \frac{\|\theta_i\|}{\|u_i\|}\, u_i",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters, and θᵢ those of tensor i",
        "g": "gradient of the objective on the batch",
        "s": "first moment, initially 0",
        "r": "second moment, initially 0",
        "u": "step of AdamW before it is normalized, and uᵢ its part for tensor i",
        "t": "step number, starting from 1",
    }
    elementwise: ClassVar[bool] = False
    source: ClassVar[str] = (
        "Y. You et al., Large Batch Optimization for Deep Learning (2020), algorithm 2 with φ(z) ="
        " z; not in the notes."
    )
    differences: ClassVar[str] = (
        "Same as optax.lamb. A tensor whose norm or step is zero takes the step of AdamW, so that"
        " biases that start at zero can move. Some implementations leave out the corrections of"
        " bias or bound ‖θᵢ‖ by 10."
    )
    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {"betas": ("beta1", "beta2")}

    lr: float = shared.learning_rate(
        0.01,
        help="Length of the step of each tensor relative to its norm.",
        why="One percent of every tensor per step; the authors use 0.002 to 0.02 for the largest"
        " batches.",
    )
    beta1: float = shared.first_moment_decay(0.9)
    beta2: float = shared.second_moment_decay(0.999)
    eps: float = shared.small_constant(
        1e-6,
        help="Keeps the division finite where the gradient is zero; added outside the square root.",
        why="The default of the authors.",
    )
    weight_decay: float = shared.weight_decay(
        0.0,
        help="This share of the parameters is added to the step before it is normalized.",
        why="The authors use 0.01. Set the L2 penalty of the loss to zero, or both act.",
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
        u = s_hat / (r_hat.sqrt() + h.eps) + h.weight_decay * theta
        size, length = per_tensor.norms(theta, h.layout), per_tensor.norms(u, h.layout)
        ratio = torch.where((size > 0.0) & (length > 0.0), size / length, 1.0)
        return theta - h.lr * per_tensor.spread(ratio, h.layout) * u, {"s": s, "r": r}
