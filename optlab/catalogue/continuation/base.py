"""What continuation is: the objective seen through a blur that gets weaker.

Blurring averages the objective over noise on the parameters, ``J_σ(θ) = E J(θ + σ n)``: small bumps
disappear first, and what is left leads to a good region. The average is taken over a few draws a
step.
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
        shared=True,
    )
    active: ClassVar[bool] = True
    """Whether the objective is smoothed at all."""

    @abstractmethod
    def width(self, step: int) -> float:
        """σ of the blur at step ``step`` (0, 1, …); 0 where the objective is seen as it is."""

    @abstractmethod
    def draws(self) -> int:
        """Number of draws that a step averages over."""
