"""Exponential averaging: a mean that forgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.averaging.base import Averaging, State
from optlab.core.fields import number

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class Exponential(Averaging):
    """A running mean of the iterates in which older ones count less and less.

    On non-convex problems the path leads through very different regions; the distant past says
    nothing about the present one and is forgotten.
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
        "torch.optim.swa_utils.get_ema_multi_avg_fn(γ), whose average begins with the first iterate instead of the start."
    )

    decay: float = number(
        0.99,
        "Decay",
        symbol="γ",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.9999),
        help="Share of the average that a step keeps.",
        why="A memory of about a hundred steps.",
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"average": theta.clone()}

    @staticmethod
    def update(state: State, theta: torch.Tensor, h: Hyperparameters) -> State:
        return {"average": h.decay * state["average"] + (1.0 - h.decay) * theta}
