"""Exponential decay: the rate shrinks by the same factor at every step."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.schedules.base import Schedule
from optlab.core.fields import STEPS_OR_EPOCHS, StepUnit, integer, step_unit


class ExponentialDecay(Schedule):
    """The rate halves after each half-life.

    It decreases so fast that the iterates can cover only a bounded distance: the first condition
    for the convergence of SGD does not hold.
    """

    name: ClassVar[str] = "exponential"
    label: ClassVar[str] = "Exponential decay"
    sort_order: ClassVar[int] = 50
    rule: ClassVar[tuple[str, ...]] = (r"\epsilon_k = 2^{-k/h}\, \epsilon_0",)
    symbols: ClassVar[dict[str, str]] = {"ε₀": "the optimizer's learning rate", "k": "step"}
    source: ClassVar[str] = "Common practice; not in the notes."
    differences: ClassVar[str] = "torch.optim.lr_scheduler.ExponentialLR(gamma=2 ** (−1/h))."

    half_life: int = integer(
        500,
        "Half-life",
        symbol="h",
        unit=STEPS_OR_EPOCHS,
        ge=1,
        log=True,
        slider=(10, 100_000),
        help="Number of steps after which the rate has halved.",
    )
    unit: StepUnit = step_unit()

    @property
    def sum_diverges(self) -> bool:
        return False

    @property
    def squares_converge(self) -> bool:
        return True

    def rate(self, lr: float, step: int) -> float:
        return float(lr * 2.0 ** (-step / self.half_life))
