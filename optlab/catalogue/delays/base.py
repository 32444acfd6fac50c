"""Base class of delays: gradients are evaluated at parameters from some steps before.

It simulates asynchronous workers, which read the parameters before others update them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from optlab.core.component import Component, Section

if TYPE_CHECKING:
    import torch

Generators = Callable[[str], "torch.Generator"]
"""Purpose → a random generator of the run."""


class Delay(Component):
    """Base of all delays.

    The staleness is a pure function of the seed of the run and the step, so that it is the same
    when a step is repeated.
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
    """Whether gradients are delayed."""

    @abstractmethod
    def longest(self) -> int:
        """Return the maximum age of the parameters, in steps."""

    @abstractmethod
    def staleness(self, step: int, generators: Generators) -> int:
        """Return the age of the parameters at a step (0, 1, …), at most :meth:`longest`.

        It may exceed the number of steps so far.
        """
