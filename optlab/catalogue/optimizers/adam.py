"""Adam: adaptive moments with bias correction."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers import _state_meanings as means
from optlab.catalogue.optimizers._torch_state import TorchState
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class Adam(Optimizer):
    """Momentum on the gradient, divided per parameter by a running estimate of its size.

    Both moments start at zero and would be too small at first; dividing by 1 − ρᵗ corrects this
    bias. The step of each parameter is about ε, whatever the scale of its gradient.
    """

    name: ClassVar[str] = "adam"
    label: ClassVar[str] = "Adam"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 70
    rule: ClassVar[tuple[str, ...]] = (
        r"s \leftarrow \rho_1 s + (1 - \rho_1)\, g",
        r"r \leftarrow \rho_2 r + (1 - \rho_2)\, g \odot g",
        r"\hat{s} = \frac{s}{1 - \rho_1^t},\quad \hat{r} = \frac{r}{1 - \rho_2^t}",
        r"\theta \leftarrow \theta - \epsilon\, \frac{\hat{s}}{\sqrt{\hat{r}} + \delta}",
    )
    traced: ClassVar[tuple[str, ...]] = ("s", "r", "s_hat", "r_hat", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "s": "first moment, initially 0",
        "r": "second moment, initially 0",
        "t": "step number, starting from 1",
    }
    source: ClassVar[str] = (
        "Notes, algorithms with adaptive learning rates; D. Kingma, J. Ba (2015)."
    )
    differences: ClassVar[str] = "Same as torch.optim.Adam, which calls (ρ₁, ρ₂) betas and δ eps."
    meanings: ClassVar[dict[str, str]] = {"s": means.MEAN_GRADIENT, "r": means.MEAN_SQUARE}
    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {"betas": ("beta1", "beta2")}
    torch_state: ClassVar[TorchState | None] = TorchState(
        "Adam",
        tensors={"s": "exp_avg", "r": "exp_avg_sq"},
        requires={"amsgrad": False, "decoupled_weight_decay": False},
    )

    lr: float = shared.learning_rate(
        0.001,
        help="Approximate length of the step of each parameter.",
        why="The default of the paper; it works for many networks without tuning.",
    )
    beta1: float = shared.first_moment_decay(0.9)
    beta2: float = shared.second_moment_decay(0.999)
    eps: float = shared.small_constant(
        1e-8,
        help="Keeps the division finite where the gradient is zero; added outside the square root,"
        " as in the notes.",
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"s": torch.zeros_like(theta), "r": torch.zeros_like(theta)}

    @staticmethod
    def largest_stable(h: Hyperparameters) -> torch.Tensor | float | None:
        largest: torch.Tensor | float = (2.0 + 2.0 * h.beta1) / (1.0 - h.beta1)
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
        return theta - step, {"s": s, "r": r}
