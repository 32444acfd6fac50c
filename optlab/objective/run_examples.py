"""The examples of R runs: one data set that all share, or several, each run having one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from optlab.core.lazy import torch


class RunExamples(NamedTuple):
    """The examples of one part of the data of R runs.

    A data set that several runs have is held once.

    Attributes:
        x: inputs ``[n, *inputs]`` that all runs share, or ``[D, n, *inputs]`` of D data sets.
        y: targets, likewise ``[n, …]`` or ``[D, n, …]``.
        of: the data set of each run, int64 ``[R]``; None where all share one.
    """

    x: torch.Tensor
    y: torch.Tensor
    of: torch.Tensor | None = None

    @property
    def size(self) -> int:
        """The number n of examples of a run."""
        return self.x.shape[0 if self.of is None else 1]

    @property
    def width(self) -> int:
        """The number of input values of one example."""
        return self.x[(0,) * (1 if self.of is None else 2)].numel()

    def first(self, n: int) -> RunExamples:
        """Return the first ``n`` examples of each run."""
        if self.of is None:
            return RunExamples(self.x[:n], self.y[:n])
        return RunExamples(self.x[:, :n], self.y[:, :n], self.of)

    def selected(self, rows: list[int]) -> RunExamples:
        """Return the examples of some runs."""
        return self if self.of is None else RunExamples(self.x, self.y, self.of[rows])

    def chunks(self, runs: int, rows: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield inputs and targets ``[R, m, …]`` of ``runs`` runs, at most ``rows`` at a time."""
        if self.of is None:
            for x, y in zip(self.x.split(rows), self.y.split(rows), strict=True):
                yield x.expand(runs, *x.shape), y.expand(runs, *y.shape)
            return
        for x, y in zip(self.x.split(rows, 1), self.y.split(rows, 1), strict=True):
            yield x[self.of], y[self.of]
