"""What a schedule is: step → learning rate, given the rate of the optimizer's form as ε₀."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from optlab.component import Component


class Schedule(Component):
    """Base of all schedules."""

    kind: ClassVar[str] = "schedule"

    constant: ClassVar[bool] = False
    """Whether the rate never changes, so that it need not be asked for at every step."""

    @property
    @abstractmethod
    def sum_diverges(self) -> bool:
        """Whether Σ ε_k = ∞ (8.12): the iterates can reach any distance."""

    @property
    @abstractmethod
    def squares_converge(self) -> bool:
        """Whether Σ ε_k² < ∞ (8.13): the noise of the gradient dies out. With (8.12) sufficient for SGD to converge."""

    def facts(self) -> tuple[str, ...]:
        both = [("Σ ε_k = ∞ (8.12)", self.sum_diverges), ("Σ ε_k² < ∞ (8.13)", self.squares_converge)]
        return ("; ".join(f"{condition}: {'yes' if holds else 'no'}" for condition, holds in both) + ".",)

    @abstractmethod
    def rate(self, lr: float, step: int) -> float:
        """The rate ε_k of step ``k = step`` (0, 1, …), where ``lr`` is ε₀."""
