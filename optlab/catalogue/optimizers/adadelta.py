"""AdaDelta: steps in the units of the parameters, without a global rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers import _state_meanings as means
from optlab.catalogue.optimizers._torch_state import TorchState
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class AdaDelta(Optimizer):
    """Steps scaled by the ratio of two running averages: of past steps and of gradients.

    The ratio has the units of the parameters divided by those of the gradient, as a Newton step
    does, so there is no global learning rate to tune. It starts slowly, from δ alone.
    """

    name: ClassVar[str] = "adadelta"
    label: ClassVar[str] = "AdaDelta"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 60
    rule: ClassVar[tuple[str, ...]] = (
        r"r \leftarrow \rho r + (1 - \rho)\, g \odot g",
        r"\Delta = -\frac{\sqrt{u + \delta}}{\sqrt{r + \delta}} \odot g",
        r"u \leftarrow \rho u + (1 - \rho)\, \Delta \odot \Delta",
        r"\theta \leftarrow \theta + \epsilon\, \Delta",
    )
    traced: ClassVar[tuple[str, ...]] = ("r", "delta", "u", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "r": "running average of squared gradients, initially 0",
        "u": "running average of squared steps, initially 0",
    }
    source: ClassVar[str] = "Notes, algorithms in use; M. Zeiler (2012), ADADELTA."
    differences: ClassVar[str] = (
        "Same as torch.optim.Adadelta (ρ 0.9, δ 1e-6). The factor ε is not part of the paper; its"
        " default is 1."
    )
    meanings: ClassVar[dict[str, str]] = {"r": means.MEAN_SQUARE}
    torch_state: ClassVar[TorchState | None] = TorchState(
        "Adadelta", tensors={"r": "square_avg", "u": "acc_delta"}
    )

    lr: float = shared.learning_rate(
        1.0,
        slider=(1e-3, 10.0),
        help="Factor on the step; the method itself needs none.",
        why="With 1 the rule is that of the paper.",
    )
    rho: float = shared.decay(
        0.9,
        help="Share of both running averages that a step keeps.",
        why="The default of most libraries; the paper uses 0.95.",
    )
    eps: float = shared.small_constant(
        1e-6,
        slider=(1e-10, 1e-2),
        help="Makes the first steps nonzero, and keeps the division finite.",
        why="The paper's value.",
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"r": torch.zeros_like(theta), "u": torch.zeros_like(theta)}

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        r = h.rho * state["r"] + (1.0 - h.rho) * g * g
        delta = -((state["u"] + h.eps).sqrt() / (r + h.eps).sqrt()) * g
        u = h.rho * state["u"] + (1.0 - h.rho) * delta * delta
        return theta + h.lr * delta, {"r": r, "u": u}
