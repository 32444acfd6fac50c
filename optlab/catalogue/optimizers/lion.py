"""Lion: steps in the direction of the sign of an interpolated momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.fields import number
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class Lion(Optimizer):
    """Steps of equal length for every parameter, by the sign of a mix of momentum and gradient.

    The rule was discovered by a search over programs. The direction mixes the gradient into the
    momentum with β₁, and the momentum itself is updated with the slower β₂, so that the current
    gradient has more weight in the step than in the momentum. Only the sign matters: learning rates
    are three to ten times smaller than those of Adam, and weight decay is larger by the same
    factor.
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
    traced: ClassVar[tuple[str, ...]] = ("c", "after", "state.m")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "m": "momentum, initially 0",
        "c": "direction of the step, before taking the sign",
    }
    source: ClassVar[str] = (
        "X. Chen et al., Symbolic Discovery of Optimization Algorithms (2023), program 1; not in"
        " the notes."
    )
    differences: ClassVar[str] = (
        "torch has no Lion. The sign of a direction that is exactly 0 is 0, as in the authors'"
        " code."
    )
    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {"betas": ("beta1", "beta2")}

    lr: float = shared.learning_rate(
        1e-4,
        slider=(1e-6, 0.1),
        help="Length of the step of each parameter.",
        why="The default of the authors, a tenth of that of Adam.",
    )
    beta1: float = number(
        0.9,
        "Decay of the direction",
        symbol="β₁",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.999),
        help="Share of the momentum in the direction of the step.",
    )
    beta2: float = number(
        0.99,
        "Decay of the momentum",
        symbol="β₂",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.9999),
        help="Share of the momentum that a step keeps.",
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
