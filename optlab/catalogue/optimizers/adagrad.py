"""AdaGrad: the rate of each parameter falls with the squares of its past gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._torch_state import TorchState
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class AdaGrad(Optimizer):
    """Per-parameter rates divided by the square root of the sum of all squared gradients.

    Directions with large partial derivatives slow down quickly, flat ones keep moving. The sum
    never forgets, so on non-convex problems the rate can become too small before training reaches
    a good region.
    """

    name: ClassVar[str] = "adagrad"
    label: ClassVar[str] = "AdaGrad"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 40
    rule: ClassVar[tuple[str, ...]] = (
        r"r \leftarrow r + g \odot g",
        r"\theta \leftarrow \theta - \frac{\epsilon}{\delta + \sqrt{r}} \odot g",
    )
    traced: ClassVar[tuple[str, ...]] = ("r", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "r": "sum of squared gradients, initially 0",
    }
    source: ClassVar[str] = (
        "Notes, algorithms with adaptive learning rates; J. Duchi, E. Hazan, Y. Singer (2011)."
    )
    differences: ClassVar[str] = (
        "torch.optim.Adagrad has the same rule with δ = 1e-10; its lr_decay and"
        " initial_accumulator_value are 0 by default, as in this rule."
    )
    torch_state: ClassVar[TorchState | None] = TorchState(
        "Adagrad", tensors={"r": "sum"}, requires={"lr_decay": 0}
    )

    lr: float = shared.learning_rate(
        0.01,
        slider=(1e-5, 10.0),
        help="Length of the first step of each parameter.",
        why="The default of most libraries.",
    )
    eps: float = shared.small_constant(
        1e-7,
        help="Keeps the division finite; added outside the square root.",
        why="The value in the notes.",
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"r": torch.zeros_like(theta)}

    @staticmethod
    def largest_stable(h: Hyperparameters) -> torch.Tensor | float | None:
        return 2.0

    @staticmethod
    def preconditioner(state: State, h: Hyperparameters) -> torch.Tensor | None:
        return state["r"].sqrt().add_(h.eps)

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        r = state["r"] + g * g
        return theta - h.lr * g / (h.eps + r.sqrt()), {"r": r}
