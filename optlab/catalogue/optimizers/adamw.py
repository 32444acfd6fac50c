"""AdamW: Adam with decoupled weight decay."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers import _state_meanings as means
from optlab.catalogue.optimizers._torch_state import TorchState
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class AdamW(Optimizer):
    """Adam whose weight decay shrinks the parameters directly instead of changing the gradient.

    The gradient of an L2 penalty would be divided by the second moment like the rest, so that
    weights with large gradients would hardly decay. Instead, every parameter shrinks by the same
    share ε λ per step. With λ = 0 the rule is Adam.
    """

    name: ClassVar[str] = "adamw"
    label: ClassVar[str] = "AdamW"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 72
    rule: ClassVar[tuple[str, ...]] = (
        r"\theta \leftarrow (1 - \epsilon \lambda)\, \theta",
        r"s \leftarrow \rho_1 s + (1 - \rho_1)\, g",
        r"r \leftarrow \rho_2 r + (1 - \rho_2)\, g \odot g",
        r"\hat{s} = \frac{s}{1 - \rho_1^t},\quad \hat{r} = \frac{r}{1 - \rho_2^t}",
        r"\theta \leftarrow \theta - \epsilon\, \frac{\hat{s}}{\sqrt{\hat{r}} + \delta}",
    )
    traced: ClassVar[tuple[str, ...]] = ("decayed", "s", "r", "s_hat", "r_hat", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch, evaluated before the decay",
        "s": "first moment, initially 0",
        "r": "second moment, initially 0",
        "t": "step number, starting from 1",
    }
    source: ClassVar[str] = "I. Loshchilov, F. Hutter (2019), algorithm 2; not in the notes."
    differences: ClassVar[str] = (
        "Same as torch.optim.AdamW. In the paper the decay is multiplied by the schedule factor"
        " alone, in this rule and in torch by the learning rate. Biases decay, too."
    )
    meanings: ClassVar[dict[str, str]] = {"s": means.MEAN_GRADIENT, "r": means.MEAN_SQUARE}
    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {"betas": ("beta1", "beta2")}
    torch_state: ClassVar[TorchState | None] = TorchState(
        "AdamW",
        tensors={"s": "exp_avg", "r": "exp_avg_sq"},
        requires={"amsgrad": False, "decoupled_weight_decay": True},
    )

    lr: float = shared.learning_rate(
        0.001,
        help="Approximate length of the step of each parameter.",
        why="The default of Adam; it works for many networks without tuning.",
    )
    beta1: float = shared.first_moment_decay(0.9)
    beta2: float = shared.second_moment_decay(0.999)
    eps: float = shared.small_constant(
        1e-8,
        help="Keeps the division finite where the gradient is zero; added outside the square root.",
    )
    weight_decay: float = shared.weight_decay(
        0.01, why="The default of torch. Set the L2 penalty of the loss to zero, or both act."
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"s": torch.zeros_like(theta), "r": torch.zeros_like(theta)}

    @staticmethod
    def largest_stable(h: Hyperparameters) -> torch.Tensor | float | None:
        # The decay takes a part of the step of 2 that a sign change needs.
        left = 2.0 - h.lr * h.weight_decay
        largest: torch.Tensor | float = left * (1.0 + h.beta1) / (1.0 - h.beta1)
        return largest

    @staticmethod
    def preconditioner(state: State, h: Hyperparameters) -> torch.Tensor | None:
        root = (state["r"] / (1.0 - h.beta2**h.step)).sqrt_()
        return root.add_(h.eps).mul_(1.0 - h.beta1**h.step)

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        s = (h.beta1 * state["s"]).add_((1.0 - h.beta1) * g)
        r = (h.beta2 * state["r"]).add_(((1.0 - h.beta2) * g).mul_(g))
        s_hat = s / (1.0 - h.beta1**h.step)
        r_hat = r / (1.0 - h.beta2**h.step)
        step = (h.lr * s_hat).div_(r_hat.sqrt().add_(h.eps))
        decayed = (1.0 - h.lr * h.weight_decay) * theta
        return decayed - step, {"s": s, "r": r}
