"""Constant: the learning rate does not change."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.schedules.base import Schedule


class Constant(Schedule):
    """The rate never changes.

    This is enough for full-batch gradient descent, whose gradient vanishes at a minimum. Stochastic
    gradients do not vanish, and the iterates fluctuate around the minimum in a region that grows
    with the rate.
    """

    name: ClassVar[str] = "constant"
    label: ClassVar[str] = "Constant"
    sort_order: ClassVar[int] = 10
    rule: ClassVar[tuple[str, ...]] = (r"\epsilon_k = \epsilon_0",)
    symbols: ClassVar[dict[str, str]] = {"ε₀": "the optimizer's learning rate", "k": "step"}
    source: ClassVar[str] = "Notes, Algorithm 8.1 with a fixed rate."
    constant: ClassVar[bool] = True

    @property
    def sum_diverges(self) -> bool:
        return True

    @property
    def squares_converge(self) -> bool:
        return False

    def rate(self, lr: float, step: int) -> float:
        return lr
