"""Base class of continuation: training on an objective whose blur decreases.

Blurring averages the objective over noise on the parameters, ``J_σ(θ) = E J(θ + σ n)``. Small bumps
disappear, and the remaining shape leads to a good region. Each step averages over a few draws of
the noise.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from optlab.core.component import Component, Section


class Continuation(Component):
    """Base of all sequences of smoothed objectives."""

    kind: ClassVar[str] = "continuation"
    section: ClassVar[Section] = Section(
        title="Continuation",
        plural="Continuation",
        chapter="Strategies",
        order=130,
        form_order=120,
        default="none",
    )
    active: ClassVar[bool] = True
    """Whether the objective is smoothed."""

    @abstractmethod
    def width(self, step: int) -> float:
        """Return σ of the blur at a step (0, 1, …); 0 for the objective without blur."""

    @abstractmethod
    def draws(self) -> int:
        """Return the number of draws that a step averages."""
