"""Schedule-free AdamW: averaging in place of a falling learning rate, scaled as in Adam."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _schedule_free as free
from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.fields import number
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class ScheduleFreeAdamW(Optimizer):
    """AdamW whose average needs no falling learning rate.

    A sequence z takes steps that are scaled by the second moment, and the parameters are its
    average. The first moment of Adam is replaced by the point of the gradient, between z and the
    average. No step at which training ends has to be known in advance; a schedule is used for a
    warm-up only.
    """

    name: ClassVar[str] = "schedule_free_adamw"
    label: ClassVar[str] = "Schedule-free AdamW"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 76
    rule: ClassVar[tuple[str, ...]] = (
        r"y = (1 - \rho_1)\, z + \rho_1\, \theta,\quad g = \nabla J(y)",
        r"r \leftarrow \rho_2 r + (1 - \rho_2)\, g \odot g,\quad \hat{r} = \frac{r}{1 - \rho_2^t}",
        r"z \leftarrow z - \epsilon \left(\frac{g}{\sqrt{\hat{r}} + \delta} + \lambda y\right)",
        *free.AVERAGE,
    )
    traced: ClassVar[tuple[str, ...]] = (
        "y",
        "g",
        "r",
        "r_hat",
        "z",
        "gamma",
        "w",
        "S",
        "after",
    )
    symbols: ClassVar[dict[str, str]] = {
        **free.SYMBOLS,
        "r": "second moment, initially 0",
        **free.AVERAGE_SYMBOLS,
    }
    shows_point: ClassVar[bool] = True
    source: ClassVar[str] = (
        "A. Defazio et al., The Road Less Scheduled (2024), algorithm 1; not in the notes."
    )
    differences: ClassVar[str] = (
        "The package schedulefree keeps y in the model in training mode and x in evaluation mode;"
        " here the parameters are x throughout. Its warmup_steps is a schedule here. The paper multiplies"
        " the rate by √(1 − ρ₂ᵗ) instead of correcting the bias of r; this rule is that of the"
        " package's reference implementation."
    )
    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {"betas": ("beta1", "beta2")}

    lr: float = shared.learning_rate(
        0.0025,
        help="Approximate length of the step of each value of z.",
        why="The default of the authors; larger than Adam's, because nothing lowers it later.",
    )
    beta1: float = number(
        0.9,
        "Share of the average",
        symbol="ρ₁",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.999),
        help="Share of the average in the point of the gradient; it takes the place of the decay of"
        " the first moment.",
    )
    beta2: float = shared.second_moment_decay(0.999)
    eps: float = shared.small_constant(
        1e-8,
        help="Keeps the division finite where the gradient is zero; added outside the square root.",
    )
    weight_decay: float = shared.weight_decay(
        0.0,
        help="Each step of z subtracts this share of y times the learning rate.",
        why="The default of the authors. Set the L2 penalty of the loss to zero, or both act.",
    )
    weight_power: float = free.weight_power()
    rate_power: float = free.rate_power()

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {**free.start(theta), "r": torch.zeros_like(theta)}

    @staticmethod
    def point(theta: torch.Tensor, state: State, h: Hyperparameters) -> torch.Tensor:
        y = free.between(theta, state["z"], h.beta1)
        return y  # noqa: RET504 - an explained step shows it

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        y = free.between(theta, state["z"], h.beta1)
        r = h.beta2 * state["r"] + (1.0 - h.beta2) * g * g
        r_hat = r / (1.0 - h.beta2**h.step)
        z = state["z"] - h.lr * (g / (r_hat.sqrt() + h.eps) + h.weight_decay * y)
        gamma, w, S = free.weights(state, h)
        return free.averaged(theta, z, w, S), {"z": z, "S": S, "gamma": gamma, "r": r}
