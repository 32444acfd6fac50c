"""Step decay: the rate drops by a factor at regular intervals."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.schedules.base import Schedule
from optlab.core.fields import STEPS_OR_EPOCHS, StepUnit, integer, number, step_unit


class StepDecay(Schedule):
    """The rate is multiplied by a factor at regular intervals.

    At each rate the loss converges to the noise level of that rate; each drop of the rate then
    shows as a sudden drop of the loss.
    """

    name: ClassVar[str] = "step_decay"
    label: ClassVar[str] = "Step decay"
    sort_order: ClassVar[int] = 40
    rule: ClassVar[tuple[str, ...]] = (r"\epsilon_k = \gamma^{\lfloor k/s \rfloor}\, \epsilon_0",)
    symbols: ClassVar[dict[str, str]] = {"ε₀": "the optimizer's learning rate", "k": "step"}
    source: ClassVar[str] = "Common practice; not in the notes."
    differences: ClassVar[str] = "torch.optim.lr_scheduler.StepLR(step_size=s, gamma=γ)."

    every: int = integer(
        500,
        "Interval",
        symbol="s",
        unit=STEPS_OR_EPOCHS,
        ge=1,
        log=True,
        slider=(10, 100_000),
        help="Number of steps between two drops.",
    )
    factor: float = number(
        0.3,
        "Factor",
        symbol="γ",
        gt=0.0,
        le=1.0,
        slider=(0.01, 1.0),
        help="Factor by which a drop multiplies the rate.",
    )
    unit: StepUnit = step_unit()

    @property
    def sum_diverges(self) -> bool:
        return self.factor == 1.0

    @property
    def squares_converge(self) -> bool:
        return self.factor < 1.0

    def rate(self, lr: float, step: int) -> float:
        return lr * self.factor ** (step // self.every)
