"""The objective of runs that differ in their data or their loss.

Model and shape are the same for all. Whatever computes with some of the runs, or with several
points of a run at once, asks for the objective of exactly these rows (:meth:`Objective.selected`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from optlab.catalogue.losses.base import Loss
from optlab.catalogue.models.base import Model
from optlab.core.data import DataShape
from optlab.core.lazy import torch
from optlab.objective.objective import SAMPLE, Objective
from optlab.objective.run_losses import RunLosses

_KEPT = 64
"""Selections of rows that are kept: a step asks for the same ones again."""


class RunObjective(Objective):
    """The training objective of R runs.

    Args:
        model: of all runs. losses: one a run. shape: of the data.
        samples: training examples of each data set in random order, as in :class:`Objective`,
            ``[D, n, *inputs]``; None where the model does not normalize over the batch.
        of: the data set of each run.
    """

    def __init__(
        self,
        model: Model,
        losses: Sequence[Loss],
        shape: DataShape,
        samples: torch.Tensor | None,
        of: Sequence[int],
    ) -> None:
        super().__init__(model, losses[0], shape)
        self._data_shape = shape
        if samples is not None and model.normalizes():
            self.sample = self._sample = samples[:, :SAMPLE]
        self._arrange(losses, of)

    def selected(self, rows: Sequence[int]) -> Objective:
        """Return the objective of runs of which number i is the run ``rows[i]`` of this one."""
        key = tuple(rows)
        if key == tuple(range(len(self._losses))):
            return self
        if key not in self._selections:
            if len(self._selections) >= _KEPT:
                self._selections.clear()
            self._selections[key] = self._selected(key)
        some = self._selections[key]
        return some if self.states is None else some._with(self.states.selected(key))

    def set_losses(self, losses: Sequence[Loss]) -> None:
        self._arrange(losses, self._of)

    def repeated(self, count: int) -> Objective:
        """Return the objective of R · ``count`` runs: ``count`` of each run, one after another."""
        return self.selected([run for run in range(len(self._losses)) for _ in range(count)])

    def _selected(self, rows: tuple[int, ...]) -> Objective:
        losses, of = [self._losses[row] for row in rows], [self._of[row] for row in rows]
        if len(set(losses)) == len(set(of)) == 1:
            sample = None if self.sample is None else self.sample[of[0]]
            alike = Objective(self.model, losses[0], self._data_shape, sample)
            alike.curvature_problems = self.curvature_problems
            return alike
        some = copy.copy(self)
        some.keeping, some.kept = False, None
        some._arrange(losses, of)
        return some

    def _arrange(self, losses: Sequence[Loss], of: Sequence[int]) -> None:
        self._losses, self._of = list(losses), list(of)
        alike = len(set(losses)) == 1
        self.loss = losses[0] if alike else RunLosses(losses)
        self.decay = self.decay.replaced(losses[:1] if alike else losses)
        self._selections: dict[tuple[int, ...], Objective] = {}

    def _sample_length(self, sample: torch.Tensor) -> int:
        return sample.shape[1]

    def _sample_of(self, sample: torch.Tensor, rows: slice) -> torch.Tensor:
        return sample[self._of[rows]]
