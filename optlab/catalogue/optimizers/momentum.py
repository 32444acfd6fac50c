"""Momentum (Algorithm 8.2)."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers import _state_meanings as means
from optlab.catalogue.optimizers._torch_state import TorchState
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.fields import choice
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class Momentum(Optimizer):
    """Gradient descent with a velocity that accumulates past gradients.

    Gradients that keep their direction add up, those that alternate cancel: the path runs along a
    canyon instead of across it. Under a constant gradient the speed tends to ε‖g‖/(1 − α), so
    α = 0.9 means up to ten times the speed of gradient descent.
    """

    name: ClassVar[str] = "momentum"
    label: ClassVar[str] = "Momentum"
    group: ClassVar[str] = "Basic algorithms"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (
        r"v \leftarrow \alpha v - \epsilon\, g",
        r"\theta \leftarrow \theta + v",
    )
    traced: ClassVar[tuple[str, ...]] = ("v", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "v": "velocity, initially 0",
    }
    along_gradient: ClassVar[bool] = True
    source: ClassVar[str] = "Notes, (8.15)–(8.17) and Algorithm 8.2; B. Polyak (1964)."
    differences: ClassVar[str] = (
        "torch.optim.SGD(momentum=α) accumulates v without ε and multiplies by ε afterwards (the"
        " form “torch”). Both agree while ε is constant. Under a schedule they differ, because in"
        " the form “notes” a velocity gained at a high rate keeps its speed."
    )
    torch_state: ClassVar[TorchState | None] = TorchState(
        "SGD",
        tensors={"v": "momentum_buffer"},
        values={"form": "torch"},
        requires={"nesterov": False, "dampening": 0},
    )

    lr: float = shared.learning_rate(
        0.01,
        slider=(1e-5, 10.0),
        help="Factor with which the gradient acts on the velocity.",
        why="A tenth of the rate of gradient descent, because α = 0.9 multiplies the speed by up"
        " to ten.",
    )
    momentum: float = shared.momentum(
        0.9,
        help="Share of the velocity that a step keeps. Common values are 0.5, 0.9 and 0.99; it can"
        " start low and be raised during a run.",
        why="Up to ten times the speed of gradient descent.",
    )
    form: Literal["notes", "torch"] = choice(
        "notes",
        "Form",
        help="Whether ε multiplies the gradient before it enters v (notes) or v itself (torch)."
        " The forms differ only if ε changes.",
    )

    def meaning(self, entry: str) -> str:
        return means.ACCUMULATED if self.form == "torch" else means.VELOCITY

    def takes_torch_steps(self, changing: Collection[str]) -> bool:
        # While the rate is constant it does not matter which side of the velocity it is on.
        return self.form == "torch" or "lr" not in changing

    def lines(self) -> tuple[str, ...]:
        if self.form == "torch":
            return (
                r"v \leftarrow \alpha v + g",
                r"\theta \leftarrow \theta - \epsilon\, v",
            )
        return self.rule

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"v": torch.zeros_like(theta)}

    @staticmethod
    def largest_stable(h: Hyperparameters) -> torch.Tensor | float | None:
        largest: torch.Tensor | float = 2.0 + 2.0 * h.momentum
        return largest

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        if h.form == "torch":
            v = (h.momentum * state["v"]).add_(g)
            return theta - h.lr * v, {"v": v}
        v = (h.momentum * state["v"]).sub_(h.lr * g)
        return theta + v, {"v": v}
