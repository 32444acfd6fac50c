"""Base class of schedules: step → learning rate, with the optimizer's field ``lr`` as ε₀."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from optlab.core.component import Component, Section

Memory = Mapping[str, float]
"""State of a schedule for one run between evaluations."""


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
        live=True,
    )

    constant: ClassVar[bool] = False
    """Whether the rate never changes, so that it need not be computed at every step."""

    watches: ClassVar[bool] = False
    """Whether the rate depends on evaluations; all others are known before the run starts."""

    @property
    @abstractmethod
    def sum_diverges(self) -> bool | None:
        """Whether Σ ε_k = ∞ (8.12), so that the iterates can cover any distance.

        None if it depends on the losses of the run.
        """

    @property
    @abstractmethod
    def squares_converge(self) -> bool | None:
        """Whether Σ ε_k² < ∞ (8.13), so that the noise of the gradient vanishes.

        Together with (8.12) it is sufficient for SGD to converge. None if it depends on the losses
        of the run.
        """

    def derived_facts(self) -> tuple[str, ...]:
        both = [
            ("Σ ε_k = ∞ (8.12)", self.sum_diverges),
            ("Σ ε_k² < ∞ (8.13)", self.squares_converge),
        ]
        return ("; ".join(f"{condition}: {_ANSWERS[holds]}" for condition, holds in both) + ".",)

    @abstractmethod
    def rate(self, lr: float, step: int) -> float:
        """Return the rate ε_k of step ``k = step`` (0, 1, …), where ``lr`` is ε₀.

        If the schedule depends on evaluations, it is the rate before the first one.
        """

    def observed(self, memory: Memory, values: Mapping[str, float]) -> Memory:
        """Return the memory after an evaluation.

        Args:
            memory: memory returned by the last call, ``{}`` for the first; not modified.
            values: series → value at this evaluation (``validation_loss``, …).
        """
        return memory

    def rate_given(self, lr: float, step: int, memory: Memory) -> float:
        """Return the rate of a step for the given memory, where ``lr`` is ε₀."""
        return self.rate(lr, step)


_ANSWERS = {True: "yes", False: "no", None: "depends on the losses"}
