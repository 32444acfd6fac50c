"""What a delay is: gradients are taken at parameters some steps old, as a worker's are that read
them before others wrote.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from optlab.core.component import Component, Section

if TYPE_CHECKING:
    import torch

Generators = Callable[[str], "torch.Generator"]


class Delay(Component):
    """Base of all delays.

    Staleness is a pure function of the run's seed and the step, so a repeated step is as stale
    again.
    """

    kind: ClassVar[str] = "delay"
    section: ClassVar[Section] = Section(
        title="Delayed gradients",
        plural="Delayed gradients",
        chapter="Strategies",
        order=120,
        form_order=110,
        default="none",
    )
    active: ClassVar[bool] = True
    """Whether gradients are delayed at all."""

    @abstractmethod
    def longest(self) -> int:
        """How many steps old the parameters may be at most."""

    @abstractmethod
    def staleness(self, step: int, generators: Generators) -> int:
        """How many steps old the parameters of step ``step`` (0, 1, …) are, were there enough steps
        before it; at most :meth:`longest`.
        """
