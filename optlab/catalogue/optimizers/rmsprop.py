"""RMSProp: AdaGrad with a memory that fades."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.fields import choice
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class RMSProp(Optimizer):
    """Rates divided by the root of a fading average of squared gradients, value by value.

    Forgetting the distant past lets the rate recover once a bowl is reached, which AdaGrad's sum
    cannot.
    """

    name: ClassVar[str] = "rmsprop"
    label: ClassVar[str] = "RMSProp"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 50
    rule: ClassVar[tuple[str, ...]] = (
        r"r \leftarrow \rho r + (1 - \rho)\, g \odot g",
        r"\theta \leftarrow \theta - \frac{\epsilon}{\sqrt{\delta + r}} \odot g",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "r": "average of squared gradients, 0 at first",
    }
    source: ClassVar[str] = "Notes, algorithms with adaptive learning rates; G. Hinton (2012)."
    differences: ClassVar[str] = (
        "torch.optim.RMSprop has δ outside the root (the form “torch” here) and calls ρ alpha, 0.99 by default."
    )

    lr: float = shared.learning_rate(
        0.001,
        help="About the length of the step of each value.",
        why="Steps are normalized by the gradient's size, so they are about ε long.",
    )
    rho: float = shared.decay(
        0.9,
        help="Share of the average that a step keeps.",
        why="Hinton's value: a memory of about ten steps.",
    )
    eps: float = shared.small_constant(
        1e-6, help="Keeps the division finite where gradients are zero.", why="The notes' value."
    )
    form: Literal["notes", "torch"] = choice(
        "notes", "Form", help="Whether δ stands inside the root (notes) or outside it (torch)."
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"r": torch.zeros_like(theta)}

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        r = h.rho * state["r"] + (1.0 - h.rho) * g * g
        root = r.sqrt() + h.eps if h.form == "torch" else (h.eps + r).sqrt()
        return theta - h.lr * g / root, {"r": r}
