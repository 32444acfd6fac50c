"""No stopping rule: the run ends with its budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from optlab.catalogue.stopping.base import FullGradientNorm, Memory, Stopping


class Never(Stopping):
    """The run continues until its budget of steps or seconds is used up."""

    name: ClassVar[str] = "never"
    label: ClassVar[str] = "With the budget"
    sort_order: ClassVar[int] = 10

    def verdict(
        self,
        memory: Memory,
        step: int,
        values: Mapping[str, float],
        gradient_norm: FullGradientNorm,
    ) -> tuple[Memory, str | None]:
        return memory, None
