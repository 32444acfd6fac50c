"""What a schedule is: step → learning rate, given the rate of the optimizer's form as ε₀."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from optlab.core.component import Component, Section

Memory = Mapping[str, float]
"""What a schedule remembers of one run between evaluations."""


class Schedule(Component):
    """Base of all schedules."""

    kind: ClassVar[str] = "schedule"
    section: ClassVar[Section] = Section(
        title="Learning-rate schedule",
        plural="Learning-rate schedules",
        chapter="Algorithms",
        order=70,
        form_order=40,
        default="constant",
    )

    constant: ClassVar[bool] = False
    """Whether the rate never changes, so that it need not be asked for at every step."""

    watches: ClassVar[bool] = False
    """Whether the rate depends on what the evaluations say; the others are known before the run
    begins.
    """

    @property
    @abstractmethod
    def sum_diverges(self) -> bool | None:
        """Whether Σ ε_k = ∞ (8.12): the iterates can reach any distance. None where it depends on
        the losses of the run.
        """

    @property
    @abstractmethod
    def squares_converge(self) -> bool | None:
        """Whether Σ ε_k² < ∞ (8.13): the noise of the gradient dies out. With (8.12) sufficient for
        SGD to converge. None as above.
        """

    def derived_facts(self) -> tuple[str, ...]:
        both = [
            ("Σ ε_k = ∞ (8.12)", self.sum_diverges),
            ("Σ ε_k² < ∞ (8.13)", self.squares_converge),
        ]
        return ("; ".join(f"{condition}: {_ANSWERS[holds]}" for condition, holds in both) + ".",)

    @abstractmethod
    def rate(self, lr: float, step: int) -> float:
        """The rate ε_k of step ``k = step`` (0, 1, …), where ``lr`` is ε₀; of a schedule that
        watches, as long as it has seen no evaluation.
        """

    def observed(self, memory: Memory, values: Mapping[str, float]) -> Memory:
        """The memory after an evaluation.

        Args:
            memory: what the last call returned; ``{}`` at first. Not written to.
            values: series → value at this evaluation (``validation_loss``, …).
        """
        return memory

    def rate_given(self, lr: float, step: int, memory: Memory) -> float:
        """The rate of a step, given what the schedule remembers."""
        return self.rate(lr, step)


_ANSWERS = {True: "yes", False: "no", None: "depends on the losses"}
