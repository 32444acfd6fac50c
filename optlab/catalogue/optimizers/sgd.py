"""Stochastic gradient descent (Algorithm 8.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._torch_state import TorchState
from optlab.catalogue.optimizers.base import Optimizer, State

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class SGD(Optimizer):
    """A step along the negative gradient of a minibatch.

    With the full batch it is gradient descent. The minibatch gradient is an unbiased estimate of
    the full one. Its noise does not vanish at a minimum, so the learning rate must decrease for the
    iterates to converge.
    """

    name: ClassVar[str] = "sgd"
    label: ClassVar[str] = "Gradient descent (SGD)"
    short: ClassVar[str] = "SGD"
    group: ClassVar[str] = "Basic algorithms"
    sort_order: ClassVar[int] = 10
    rule: ClassVar[tuple[str, ...]] = (r"\theta \leftarrow \theta - \epsilon\, g",)
    traced: ClassVar[tuple[str, ...]] = ("after",)
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
    }
    along_gradient: ClassVar[bool] = True
    source: ClassVar[str] = "Notes, Algorithm 8.1."
    differences: ClassVar[str] = "Same as torch.optim.SGD without momentum."
    torch_state: ClassVar[TorchState | None] = TorchState(
        "SGD", requires={"momentum": 0, "nesterov": False}
    )

    lr: float = shared.learning_rate(
        0.1,
        slider=(1e-5, 10.0),
        help="Step length in units of the gradient. If it is too small, progress is slow; above 2"
        " divided by the largest curvature, training diverges.",
        why="Works for standardized inputs and normalized initialization; the notes advise"
        " choosing it by watching the first iterations.",
    )

    @staticmethod
    def largest_stable(h: Hyperparameters) -> torch.Tensor | float | None:
        return 2.0

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        return theta - h.lr * g, state
