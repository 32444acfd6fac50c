"""Random delay: gradients of random age up to a maximum."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.delays.base import Delay, Generators
from optlab.core.fields import integer
from optlab.core.lazy import torch


class RandomDelay(Delay):
    """Each gradient is evaluated at parameters that are 0 to s steps old, with equal probability.

    This corresponds to workers with random running times that do not wait for each other.
    """

    name: ClassVar[str] = "random"
    label: ClassVar[str] = "Random"
    sort_order: ClassVar[int] = 30
    rule: ClassVar[tuple[str, ...]] = (
        r"g_k = \nabla J(\theta_{k - s_k}),\quad s_k \sim U(0, \ldots, s)",
    )
    source: ClassVar[str] = "Notes, asynchronous parallel training; simulated exactly."

    steps: int = integer(
        8,
        "Maximum delay",
        symbol="s",
        unit="steps",
        ge=0,
        le=1000,
        slider=(0, 32),
        help="Maximum age of the parameters at which gradients are evaluated.",
    )

    def longest(self) -> int:
        return self.steps

    def staleness(self, step: int, generators: Generators) -> int:
        return int(torch.randint(self.steps + 1, (), generator=generators(f"delay/{step}")))
