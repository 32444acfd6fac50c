"""Exponential averaging of the iterates."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.averaging.base import Averaging, State
from optlab.core.fields import number

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class Exponential(Averaging):
    """An exponentially weighted running average of the iterates.

    On non-convex problems the path passes through very different regions. The distant past says
    little about the current region, so its weight decays.
    """

    name: ClassVar[str] = "exponential"
    label: ClassVar[str] = "Exponential"
    sort_order: ClassVar[int] = 30
    rule: ClassVar[tuple[str, ...]] = (
        r"\hat{\theta}_k = \gamma\,\hat{\theta}_{k-1} + (1 - \gamma)\,\theta_k",
    )
    source: ClassVar[str] = (
        "Notes, averaging points, in the exponential form for non-convex problems."
    )
    differences: ClassVar[str] = (
        "torch.optim.swa_utils.get_ema_multi_avg_fn(γ), whose average starts at the first iterate"
        " instead of the initial parameters."
    )

    decay: float = number(
        0.99,
        "Decay",
        symbol="γ",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.9999),
        help="Share of the average that a step keeps.",
        why="An average over about a hundred steps.",
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"average": theta.clone()}

    @staticmethod
    def update(state: State, theta: torch.Tensor, h: Hyperparameters) -> State:
        return {"average": h.decay * state["average"] + (1.0 - h.decay) * theta}
