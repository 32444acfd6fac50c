"""Cosine decay: half a cosine, slow at both ends."""

from __future__ import annotations

import math
from typing import ClassVar

from optlab.catalogue.schedules.base import Schedule
from optlab.core.fields import STEPS_OR_EPOCHS, StepUnit, integer, number, step_unit


class CosineDecay(Schedule):
    """The rate follows half a cosine down to its last value and stays there.

    It spends more steps at high and at low rates than linear decay, and has become the usual choice
    for a fixed budget.
    """

    name: ClassVar[str] = "cosine"
    label: ClassVar[str] = "Cosine decay"
    sort_order: ClassVar[int] = 60
    rule: ClassVar[tuple[str, ...]] = (
        r"\epsilon_k = \epsilon_\tau + \tfrac{1}{2}\left(\epsilon_0 - \epsilon_\tau\right)"
        r"\left(1 + \cos\frac{\pi \min(k,\tau)}{\tau}\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "ε₀": "the optimizer's learning rate",
        "k": "step",
        "ε_τ": "last share times ε₀",
    }
    source: ClassVar[str] = "I. Loshchilov, F. Hutter (2017), SGDR; not in the notes."
    differences: ClassVar[str] = (
        "torch.optim.lr_scheduler.CosineAnnealingLR(T_max=τ, eta_min=ε_τ) until step τ; there the"
        " rate rises again afterwards."
    )

    tau: int = integer(
        2000,
        "Last step of the decay",
        symbol="τ",
        unit=STEPS_OR_EPOCHS,
        ge=1,
        log=True,
        slider=(10, 100_000),
        help="Step at which the rate reaches its last value.",
    )
    last: float = number(
        0.0,
        "Last share",
        symbol="ε_τ/ε₀",
        ge=0.0,
        le=1.0,
        slider=(0.0, 1.0),
        help="The last rate as a share of the first.",
    )
    unit: StepUnit = step_unit()

    @property
    def sum_diverges(self) -> bool:
        return self.last > 0.0

    @property
    def squares_converge(self) -> bool:
        return self.last == 0.0

    def rate(self, lr: float, step: int) -> float:
        lowest = self.last * lr
        return lowest + 0.5 * (lr - lowest) * (
            1.0 + math.cos(math.pi * min(step, self.tau) / self.tau)
        )
