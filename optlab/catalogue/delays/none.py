"""No delay: every gradient is evaluated at the current parameters."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.delays.base import Delay, Generators


class NoDelay(Delay):
    """Gradients are current, as in training with one worker or with synchronous workers."""

    name: ClassVar[str] = "none"
    label: ClassVar[str] = "None"
    sort_order: ClassVar[int] = 10
    active: ClassVar[bool] = False

    def longest(self) -> int:
        return 0

    def staleness(self, step: int, generators: Generators) -> int:
        return 0
