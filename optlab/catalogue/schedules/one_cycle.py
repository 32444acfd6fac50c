"""One-cycle: up to a high rate, then down to almost zero."""

from __future__ import annotations

import math
from typing import ClassVar

from optlab.catalogue.schedules.base import Schedule
from optlab.core.fields import STEPS_OR_EPOCHS, StepUnit, integer, number, step_unit


class OneCycle(Schedule):
    """The rate rises to its peak along half a cosine, and falls along another to almost zero.

    The high rates in the middle cross flat regions and regularize by their noise; the low rates at
    the end converge. The learning rate ε₀ of the optimizer is the peak.
    """

    name: ClassVar[str] = "one_cycle"
    label: ClassVar[str] = "One-cycle"
    sort_order: ClassVar[int] = 80
    rule: ClassVar[tuple[str, ...]] = (
        r"\epsilon_k:\ \frac{\epsilon_0}{d} \rightarrow \epsilon_0 \rightarrow "
        r"\frac{\epsilon_0}{10^4\, d}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "ε₀": "the optimizer's learning rate: the peak of the cycle"
    }
    source: ClassVar[str] = "L. Smith, N. Topin (2018), Super-convergence; not in the notes."
    differences: ClassVar[str] = (
        "torch.optim.lr_scheduler.OneCycleLR(max_lr=ε₀, total_steps=τ, pct_start=p, div_factor=d)"
        " with cycle_momentum=False."
    )

    tau: int = integer(
        2000,
        "Length",
        symbol="τ",
        unit=STEPS_OR_EPOCHS,
        ge=2,
        log=True,
        slider=(10, 100_000),
        help="Number of steps of the cycle; afterwards the rate keeps its last value.",
    )
    rise: float = number(
        0.3,
        "Rising share",
        symbol="p",
        gt=0.0,
        lt=1.0,
        slider=(0.05, 0.95),
        help="Share of the cycle during which the rate rises.",
    )
    divisor: float = number(
        25.0,
        "Divisor",
        symbol="d",
        gt=1.0,
        log=True,
        slider=(2.0, 1000.0),
        help="Ratio of the peak to the initial rate.",
    )
    unit: StepUnit = step_unit()

    @property
    def sum_diverges(self) -> bool:
        return True  # because the last rate is small but positive

    @property
    def squares_converge(self) -> bool:
        return False

    def rate(self, lr: float, step: int) -> float:
        first, last = lr / self.divisor, lr / self.divisor / 1e4
        # As torch counts: the peak is at step p·τ − 1, the end at step τ − 1.
        peak, end = self.rise * self.tau - 1.0, self.tau - 1.0
        if step <= peak:
            return _between(first, lr, step / peak if peak > 0.0 else 1.0)
        return _between(lr, last, min((step - peak) / (end - peak), 1.0))


def _between(start: float, end: float, share: float) -> float:
    """Interpolate along half a cosine from ``start`` (share 0) to ``end`` (share 1)."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * share))
