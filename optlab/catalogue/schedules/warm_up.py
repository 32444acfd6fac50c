"""Warm-up: from a small rate up to the full rate."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.schedules.base import Schedule
from optlab.core.fields import STEPS_OR_EPOCHS, StepUnit, integer, number, step_unit


class WarmUp(Schedule):
    """The rate rises linearly during the first steps and is constant afterwards.

    At the start the curvature is often largest and the averages of adaptive methods are noisiest;
    small first steps avoid damage from which training recovers slowly.
    """

    name: ClassVar[str] = "warm_up"
    label: ClassVar[str] = "Warm-up"
    sort_order: ClassVar[int] = 70
    rule: ClassVar[tuple[str, ...]] = (
        r"\epsilon_k = \epsilon_0\left(s + (1-s)\min\left(\frac{k}{w},\, 1\right)\right)",
    )
    symbols: ClassVar[dict[str, str]] = {"ε₀": "the optimizer's learning rate", "k": "step"}
    source: ClassVar[str] = "P. Goyal et al. (2017); not in the notes."
    differences: ClassVar[str] = "torch.optim.lr_scheduler.LinearLR(start_factor=s, total_iters=w)."

    steps: int = integer(
        200,
        "Warm-up steps",
        symbol="w",
        unit=STEPS_OR_EPOCHS,
        ge=1,
        log=True,
        slider=(1, 10_000),
        help="Number of steps until the full rate is reached.",
    )
    start: float = number(
        0.01,
        "Initial share",
        symbol="s",
        gt=0.0,
        le=1.0,
        slider=(0.001, 1.0),
        log=True,
        help="The initial rate as a share of the full rate.",
    )
    unit: StepUnit = step_unit()

    @property
    def sum_diverges(self) -> bool:
        return True

    @property
    def squares_converge(self) -> bool:
        return False

    def rate(self, lr: float, step: int) -> float:
        return lr * (self.start + (1.0 - self.start) * min(step / self.steps, 1.0))
