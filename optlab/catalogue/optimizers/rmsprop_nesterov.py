"""RMSProp with Nesterov momentum: adaptive rates, with the gradient evaluated ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers import _state_meanings as means
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class RMSPropNesterov(Optimizer):
    """Nesterov momentum on gradients that are rescaled as in RMSProp.

    The velocity accumulates rescaled gradients. Each is evaluated at the point to which the
    velocity would move, at the cost of one gradient per step.
    """

    name: ClassVar[str] = "rmsprop_nesterov"
    label: ClassVar[str] = "RMSProp with Nesterov momentum"
    short: ClassVar[str] = "RMSProp, Nesterov"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 55
    rule: ClassVar[tuple[str, ...]] = (
        r"g = \nabla J(\theta + \alpha v)",
        r"r \leftarrow \rho r + (1 - \rho)\, g \odot g",
        r"v \leftarrow \alpha v - \frac{\epsilon}{\sqrt{\delta + r}} \odot g",
        r"\theta \leftarrow \theta + v",
    )
    traced: ClassVar[tuple[str, ...]] = ("g", "r", "v", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient evaluated at the interim point θ + αv",
        "r": "running average of squared gradients, initially 0",
        "v": "velocity, initially 0",
    }
    source: ClassVar[str] = (
        "Notes, algorithms with adaptive learning rates: RMSProp with Nesterov momentum."
    )
    differences: ClassVar[str] = (
        "torch.optim.RMSprop(momentum=α) evaluates the gradient at θ, keeps ε out of the velocity,"
        " and adds δ outside the square root."
    )
    meanings: ClassVar[dict[str, str]] = {"r": means.MEAN_SQUARE, "v": means.VELOCITY}

    lr: float = shared.learning_rate(
        0.001,
        help="Factor with which the rescaled gradient acts on the velocity.",
        why="As for RMSProp; momentum multiplies the speed by up to 1/(1 − α).",
    )
    rho: float = shared.decay(
        0.9,
        help="Share of the running average of squared gradients that a step keeps.",
        why="As for RMSProp.",
    )
    momentum: float = shared.momentum(
        0.9,
        help="Share of the velocity that a step keeps; also how far ahead the gradient is"
        " evaluated.",
        why="As for momentum.",
    )
    eps: float = shared.small_constant(
        1e-6, help="Keeps the division finite; added inside the square root.", why="As for RMSProp."
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"r": torch.zeros_like(theta), "v": torch.zeros_like(theta)}

    @staticmethod
    def point(theta: torch.Tensor, state: State, h: Hyperparameters) -> torch.Tensor:
        ahead: torch.Tensor = h.momentum * state["v"]
        return theta + ahead

    @staticmethod
    def largest_stable(h: Hyperparameters) -> torch.Tensor | float | None:
        largest: torch.Tensor | float = (2.0 + 2.0 * h.momentum) / (1.0 + 2.0 * h.momentum)
        return largest

    @staticmethod
    def preconditioner(state: State, h: Hyperparameters) -> torch.Tensor | None:
        root: torch.Tensor = (h.eps + state["r"]).sqrt_()
        return root

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        r = h.rho * state["r"] + (1.0 - h.rho) * g * g
        v = h.momentum * state["v"] - h.lr * g / (h.eps + r).sqrt()
        return theta + v, {"r": r, "v": v}
