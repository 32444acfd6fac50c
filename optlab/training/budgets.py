"""The budgets of the runs of a population: each run ends at its own number of steps."""

from __future__ import annotations

from collections.abc import Sequence

from optlab.experiment.sections import Budget


class Budgets:
    """How many steps each run takes, and how long all may take together.

    Args:
        budgets: one a run; their time limits agree.

    Attributes:
        shortest, longest: the smallest and the largest number of steps. seconds: the time limit; 0 for none.
    """

    def __init__(self, budgets: Sequence[Budget]) -> None:
        self._steps = [budget.steps for budget in budgets]
        self.shortest = min(self._steps)
        self.longest = max(self._steps)
        self.seconds = budgets[0].seconds

    def spent(self, alive: Sequence[int], step: int) -> list[int]:
        """Return those of the runs that have taken all their steps."""
        if step < self.shortest:
            return []
        return [run for run in alive if step >= self._steps[run]]

    def next_end(self, step: int) -> int:
        """Return the first number of steps from ``step`` on at which runs have taken all theirs."""
        if step < self.shortest:
            return self.shortest
        return min((steps for steps in self._steps if steps >= step), default=step)

    def reason(self, run: int, step: int) -> str:
        """Return why a run ends whose budget of steps or of seconds is spent."""
        if step >= self._steps[run]:
            return f"the budget of {self._steps[run]:,} steps is spent"
        return f"the budget of {self.seconds:g} seconds is spent"
