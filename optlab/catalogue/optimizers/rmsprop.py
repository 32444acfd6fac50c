"""RMSProp: AdaGrad with a running average of squared gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers import _state_meanings as means
from optlab.catalogue.optimizers._torch_state import TorchState
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.fields import choice
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class RMSProp(Optimizer):
    """Per-parameter rates divided by the square root of a running average of squared gradients.

    Discarding the distant past lets the rate recover once a convex region is reached; the sum of
    AdaGrad cannot do that.
    """

    name: ClassVar[str] = "rmsprop"
    label: ClassVar[str] = "RMSProp"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 50
    rule: ClassVar[tuple[str, ...]] = (
        r"r \leftarrow \rho r + (1 - \rho)\, g \odot g",
        r"\theta \leftarrow \theta - \frac{\epsilon}{\sqrt{\delta + r}} \odot g",
    )
    traced: ClassVar[tuple[str, ...]] = ("r", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "r": "running average of squared gradients, initially 0",
    }
    source: ClassVar[str] = "Notes, algorithms with adaptive learning rates; G. Hinton (2012)."
    differences: ClassVar[str] = (
        "torch.optim.RMSprop adds δ outside the square root (the form “torch”) and calls ρ alpha,"
        " with default 0.99."
    )
    meanings: ClassVar[dict[str, str]] = {"r": means.MEAN_SQUARE}
    torch_state: ClassVar[TorchState | None] = TorchState(
        "RMSprop",
        tensors={"r": "square_avg"},
        arguments={"rho": "alpha"},
        values={"form": "torch"},
        requires={"momentum": 0, "centered": False},
    )

    lr: float = shared.learning_rate(
        0.001,
        help="Approximate length of the step of each parameter.",
        why="Steps are normalized by the size of the gradient, so their length is about ε.",
    )
    rho: float = shared.decay(
        0.9,
        help="Share of the running average that a step keeps.",
        why="The value of Hinton: a memory of about ten steps.",
    )
    eps: float = shared.small_constant(
        1e-6,
        help="Keeps the division finite where gradients are zero.",
        why="The value in the notes.",
    )
    form: Literal["notes", "torch"] = choice(
        "notes",
        "Form",
        help="Whether δ is added inside the square root (notes) or outside it (torch).",
    )

    def lines(self) -> tuple[str, ...]:
        if self.form == "torch":
            return (
                self.rule[0],
                r"\theta \leftarrow \theta - \frac{\epsilon}{\sqrt{r} + \delta} \odot g",
            )
        return self.rule

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"r": torch.zeros_like(theta)}

    @staticmethod
    def largest_stable(h: Hyperparameters) -> torch.Tensor | float | None:
        return 2.0

    @staticmethod
    def preconditioner(state: State, h: Hyperparameters) -> torch.Tensor | None:
        r = state["r"]
        return r.sqrt().add_(h.eps) if h.form == "torch" else (h.eps + r).sqrt_()

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        r = (h.rho * state["r"]).add_(((1.0 - h.rho) * g).mul_(g))
        root = r.sqrt().add_(h.eps) if h.form == "torch" else (h.eps + r).sqrt_()
        return theta - (h.lr * g).div_(root), {"r": r}
