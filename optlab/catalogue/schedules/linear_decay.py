"""Linear decay (8.14): down to a small rate at step τ, constant afterwards."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.schedules.base import Schedule
from optlab.core.fields import STEPS_OR_EPOCHS, StepUnit, integer, number, step_unit


class LinearDecay(Schedule):
    """The rate decreases linearly until step τ and is constant afterwards.

    The noise of minibatch gradients does not vanish at a minimum, so the rate must decrease.
    """

    name: ClassVar[str] = "linear_decay"
    label: ClassVar[str] = "Linear decay"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (
        r"\epsilon_k = (1 - a)\,\epsilon_0 + a\,\epsilon_\tau,\quad a = "
        r"\min\left(\frac{k}{\tau},\, 1\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "ε₀": "the optimizer's learning rate",
        "ε_τ": "last share times ε₀",
        "k": "step",
    }
    source: ClassVar[str] = "Notes, (8.14)."
    differences: ClassVar[str] = (
        "torch.optim.lr_scheduler.LinearLR(start_factor=1, end_factor=ε_τ/ε₀, total_iters=τ)."
    )

    tau: int = integer(
        1000,
        "Last step of the decay",
        symbol="τ",
        unit=STEPS_OR_EPOCHS,
        ge=1,
        log=True,
        slider=(10, 100_000),
        help="Step at which the rate reaches its last value.",
        why="The notes advise a few hundred passes through the training set for large problems;"
        " the presets of this program are shorter.",
    )
    last: float = number(
        0.01,
        "Last share",
        symbol="ε_τ/ε₀",
        ge=0.0,
        le=1.0,
        slider=(0.0, 1.0),
        help="The last rate as a share of the first.",
        why="About 1%, as the notes advise.",
    )
    unit: StepUnit = step_unit()

    @property
    def sum_diverges(self) -> bool:
        return self.last > 0.0

    @property
    def squares_converge(self) -> bool:
        return self.last == 0.0

    def rate(self, lr: float, step: int) -> float:
        a = min(step / self.tau, 1.0)
        return (1.0 - a) * lr + a * self.last * lr
