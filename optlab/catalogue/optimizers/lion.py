"""Lion: the sign of an interpolated momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.fields import number
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class Lion(Optimizer):
    """A step of fixed length for every value, in the direction of the sign of momentum and gradient
    together.

    Found by a search over programs. The direction mixes the gradient into the momentum with β₁, the
    momentum that is kept with the slower β₂, so that the present gradient counts for more in the
    step than in the memory. Only the sign matters: rates are three to ten times smaller than
    Adam's, and weight decay as much larger.
    """

    name: ClassVar[str] = "lion"
    label: ClassVar[str] = "Lion"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 74
    rule: ClassVar[tuple[str, ...]] = (
        r"c = \beta_1 m + (1 - \beta_1)\, g",
        r"\theta \leftarrow \theta - \epsilon \left(\mathrm{sign}(c) + \lambda \theta\right)",
        r"m \leftarrow \beta_2 m + (1 - \beta_2)\, g",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "m": "momentum, 0 at first",
        "c": "direction of the step, before its sign",
    }
    source: ClassVar[str] = (
        "X. Chen et al., Symbolic Discovery of Optimization Algorithms (2023), program 1; beyond the notes."
    )
    differences: ClassVar[str] = (
        "torch has no Lion; the sign of a direction that is exactly 0 is 0, as in the authors' code."
    )
    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {"betas": ("beta1", "beta2")}

    lr: float = shared.learning_rate(
        1e-4,
        slider=(1e-6, 0.1),
        help="Length of the step of each value.",
        why="The authors' default, a tenth of Adam's.",
    )
    beta1: float = number(
        0.9,
        "Memory of the step",
        symbol="β₁",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.999),
        help="Share of the momentum in the direction of the step.",
    )
    beta2: float = number(
        0.99,
        "Memory of the momentum",
        symbol="β₂",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.9999),
        help="Share of the momentum that is kept.",
    )
    weight_decay: float = shared.weight_decay(0.0, slider=(0.0, 1.0))

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"m": torch.zeros_like(theta)}

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        m = state["m"]
        c = h.beta1 * m + (1.0 - h.beta1) * g
        return theta - h.lr * (c.sign() + h.weight_decay * theta), {
            "m": h.beta2 * m + (1.0 - h.beta2) * g
        }
