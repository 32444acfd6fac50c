"""Fixed delay: every gradient is the same number of steps old."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.delays.base import Delay, Generators
from optlab.core.fields import integer


class FixedDelay(Delay):
    """Gradients are evaluated at the parameters from s steps before.

    This corresponds to s + 1 workers that take turns: each reads the parameters, and the others
    update them s times before its gradient is applied.
    """

    name: ClassVar[str] = "fixed"
    label: ClassVar[str] = "Fixed"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (r"g_k = \nabla J(\theta_{k - s})",)
    source: ClassVar[str] = "Notes, asynchronous parallel training; simulated exactly."

    steps: int = integer(
        4,
        "Delay",
        symbol="s",
        unit="steps",
        ge=0,
        le=1000,
        slider=(0, 32),
        help="Age of the parameters at which gradients are evaluated.",
    )

    def longest(self) -> int:
        return self.steps

    def staleness(self, step: int, generators: Generators) -> int:
        return self.steps
