"""Random delay: gradients of all ages up to a longest one."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.delays.base import Delay, Generators
from optlab.core.fields import integer
from optlab.core.lazy import torch


class RandomDelay(Delay):
    """Each gradient is taken at parameters between 0 and s steps old, each age as likely.

    As with workers that finish when they will and wait for nobody.
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
        "Longest delay",
        symbol="s",
        unit="steps",
        ge=0,
        le=1000,
        slider=(0, 32),
        help="How many steps old the parameters are at most.",
    )

    def longest(self) -> int:
        return self.steps

    def staleness(self, step: int, generators: Generators) -> int:
        return int(torch.randint(self.steps + 1, (), generator=generators(f"delay/{step}")))
