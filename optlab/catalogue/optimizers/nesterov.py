"""Nesterov momentum (Algorithm 8.3)."""

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


class Nesterov(Optimizer):
    """Momentum with the gradient evaluated at the point to which the velocity would move.

    Looking ahead corrects the velocity before the error is made. For a convex objective and full
    batches the excess error falls as 1/k² instead of 1/k; with stochastic gradients the rate of
    convergence does not improve.
    """

    name: ClassVar[str] = "nesterov"
    label: ClassVar[str] = "Nesterov momentum"
    group: ClassVar[str] = "Basic algorithms"
    sort_order: ClassVar[int] = 30
    rule: ClassVar[tuple[str, ...]] = (
        r"g = \nabla J(\theta + \alpha v)",
        r"v \leftarrow \alpha v - \epsilon\, g",
        r"\theta \leftarrow \theta + v",
    )
    traced: ClassVar[tuple[str, ...]] = ("g", "v", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient evaluated at the interim point θ + αv",
        "v": "velocity, initially 0",
    }
    along_gradient: ClassVar[bool] = True
    source: ClassVar[str] = (
        "Notes, (8.21), (8.22) and Algorithm 8.3; I. Sutskever et al. (2013); Y. Nesterov (1983)."
    )
    differences: ClassVar[str] = (
        "torch.optim.SGD(nesterov=True) stores the interim point θ + αv instead of θ and evaluates"
        " the gradient there (the form “torch”). After this change of variables both give the"
        " same numbers while ε and α are constant."
    )
    torch_state: ClassVar[TorchState | None] = TorchState(
        "SGD",
        tensors={"v": "momentum_buffer"},
        values={"form": "torch"},
        requires={"nesterov": True, "dampening": 0},
    )

    lr: float = shared.learning_rate(
        0.01,
        slider=(1e-5, 10.0),
        help="Factor with which the gradient acts on the velocity.",
        why="As for momentum.",
    )
    momentum: float = shared.momentum(
        0.9,
        help="Share of the velocity that a step keeps; also how far ahead the gradient is"
        " evaluated.",
        why="As for momentum.",
    )
    form: Literal["notes", "torch"] = choice(
        "notes",
        "Form",
        help="Whether θ (notes) or the interim point θ + αv (torch) is stored and reported. Both"
        " describe the same path.",
    )

    def meaning(self, entry: str) -> str:
        return means.ACCUMULATED if self.form == "torch" else means.VELOCITY

    def lines(self) -> tuple[str, ...]:
        if self.form == "torch":
            return (
                r"g = \nabla J(\theta)",
                r"v \leftarrow \alpha v + g",
                r"\theta \leftarrow \theta - \epsilon\, (g + \alpha v)",
            )
        return self.rule

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"v": torch.zeros_like(theta)}

    @staticmethod
    def point(theta: torch.Tensor, state: State, h: Hyperparameters) -> torch.Tensor:
        return theta if h.form == "torch" else theta + h.momentum * state["v"]

    @staticmethod
    def largest_stable(h: Hyperparameters) -> torch.Tensor | float | None:
        largest: torch.Tensor | float = (2.0 + 2.0 * h.momentum) / (1.0 + 2.0 * h.momentum)
        return largest

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        if h.form == "torch":
            v = (h.momentum * state["v"]).add_(g)
            return theta - h.lr * (h.momentum * v).add_(g), {"v": v}
        v = (h.momentum * state["v"]).sub_(h.lr * g)
        return theta + v, {"v": v}
