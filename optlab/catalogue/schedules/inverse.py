"""Inverse decay: the classic rate under which SGD is guaranteed to converge."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.schedules.base import Schedule
from optlab.core.fields import STEPS_OR_EPOCHS, StepUnit, integer, step_unit


class InverseDecay(Schedule):
    """The rate decreases as the inverse of the step.

    It decreases slowly enough that the iterates can cover any distance, and fast enough that the
    noise vanishes: both sufficient conditions for the convergence of SGD hold.
    """

    name: ClassVar[str] = "inverse"
    label: ClassVar[str] = "Inverse decay (1/k)"
    sort_order: ClassVar[int] = 30
    rule: ClassVar[tuple[str, ...]] = (r"\epsilon_k = \frac{\epsilon_0}{1 + k/\tau}",)
    symbols: ClassVar[dict[str, str]] = {"ε₀": "the optimizer's learning rate", "k": "step"}
    source: ClassVar[str] = "Notes, (8.12) and (8.13); H. Robbins, S. Monro (1951)."
    differences: ClassVar[str] = "torch.optim.lr_scheduler.LambdaLR(lambda k: 1 / (1 + k/τ))."

    tau: int = integer(
        200,
        "Half-rate step",
        symbol="τ",
        unit=STEPS_OR_EPOCHS,
        ge=1,
        log=True,
        slider=(10, 100_000),
        help="Step at which the rate is half of its initial value.",
    )
    unit: StepUnit = step_unit()

    @property
    def sum_diverges(self) -> bool:
        return True

    @property
    def squares_converge(self) -> bool:
        return True

    def rate(self, lr: float, step: int) -> float:
        return lr / (1.0 + step / self.tau)
