"""Steps of a population in blocks that are launched as a whole.

For a device that computes while Python goes on, and whose check for finite values stays on it. A
population begins with ordinary steps. The first block of each size is taken both ways, in ordinary
steps and as a graph, and used from then on if they agree; what cannot be captured (rules that look
at values, random numbers, decisions by the number of the step) is taken in ordinary steps.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from optlab.core.lazy import torch
from optlab.numerics.traced_number import NotRepeatable
from optlab.training.batches import BatchStream
from optlab.training.capturing.graph import Graph
from optlab.training.capturing.step_block import Compute, StepBlock, Taken, held_tensors
from optlab.training.divergence import DivergenceGuard
from optlab.training.events import StepMode
from optlab.training.population import Population
from optlab.training.recorder import Recorder

_LOG = logging.getLogger(__name__)

SETTLED = 24
"""Ordinary steps after a change of a hyperparameter: while it is dragged, no block is captured."""
SIZES = (32, 16, 8, 4)
"""Steps of a block."""
_VALUES = 16_000_000
"""Values of parameters and states of all runs, at most: the time of larger ones is arithmetic."""


class StepBlocks:
    """Takes the steps of a population in blocks.

    Args:
        population: whose steps repeat themselves (:attr:`Population.obstacle`). guard: whose check
            is deferred. recorder: of the measures. stream: of the batches. compute: a step.
        advance: takes and records an ordinary step. graph: makes what captures a block.

    Attributes:
        repeated: number of steps that were taken by a graph.
        reason: why none are, a clause; "" while nothing is known.
    """

    def __init__(
        self,
        population: Population,
        guard: DivergenceGuard,
        recorder: Recorder,
        stream: BatchStream,
        compute: Compute,
        advance: Callable[[], None],
        graph: Callable[[], Graph],
    ) -> None:
        self._population = population
        self._guard = guard
        self._recorder = recorder
        self._stream = stream
        self._compute = compute
        self._advance = advance
        self._graph = graph
        self._blocks: dict[int, StepBlock] = {}
        self._from = population.step + 1
        self.repeated = 0
        self.reason = ""
        if sum(one.numel() for one in held_tensors(population, guard)) > _VALUES:
            self.reason = f"parameters and states have more than {_VALUES:,} values"

    @property
    def mode(self) -> StepMode:
        """How steps are taken at present where nothing is due."""
        return "captured" if self._blocks else "ordinary"

    def forget(self) -> None:
        """Drop all graphs: a hyperparameter or what is measured has changed."""
        self._blocks = {}
        self._from = self._population.step + SETTLED

    def several(self, count: int, more: Callable[[], bool]) -> None:
        """Take and record steps, as many as blocks have.

        Args:
            count: of steps, at most. more: is asked after a block, once for each of its steps,
                whether another may follow.
        """
        going = True
        while going and not self.reason and self._population.step >= self._from:
            rows = self._rows(count)
            if rows is None:
                return
            size = rows.shape[1]
            if not self._take(rows):
                return
            count -= size
            for _ in range(size):
                going = more()

    def _rows(self, count: int) -> torch.Tensor | None:
        """Return the rows ``[streams, n, m]`` of the largest block that fits; None for none."""
        fitting = [size for size in SIZES if size <= count]
        if not fitting:
            return None
        rows = self._stream.ahead(self._population.step, fitting[0])
        if rows is None:
            return None
        size = next((size for size in fitting if size <= rows.shape[1]), None)
        return None if size is None else rows[:, :size]

    def _take(self, rows: torch.Tensor) -> bool:
        """Take a block; return False where its steps have to be taken one by one."""
        size = rows.shape[1]
        block = self._blocks.get(size)
        if block is None:
            return self._begin(rows)
        taken = block.run(rows)
        if taken is None:
            self.forget()
            return False
        row, *vectors = taken.measured
        for index in range(size):
            number = self._population.step + 1 + index
            self._recorder.keep(number, row[index], [one[index] for one in vectors])
        block.accept(taken)
        self.repeated += size
        return True

    def _begin(self, rows: torch.Tensor) -> bool:
        """Capture a block, and take its steps both ways."""
        try:
            graph = self._graph()
            block = StepBlock(
                self._population, self._guard, self._stream, self._compute, rows, graph
            )
            taken = block.run(rows)
        except (NotRepeatable, RuntimeError, TypeError, ImportError) as reason:
            # Torch has operations of many kinds; what cannot be captured is computed as usual.
            _LOG.info("steps are not captured: %s", reason)
            known = f": {reason}" if isinstance(reason, NotRepeatable) else ""
            self._refuse(f"a step cannot be captured{known}")
            return False
        size = rows.shape[1]
        for _ in range(size):
            self._advance()
        if taken is not None and self._agrees(taken, size, graph.tolerance):
            self._blocks[size] = block
        else:
            _LOG.info("steps are not captured: a captured step has other values")
            self._refuse("a captured step has other values than an ordinary one")
        return True

    def _agrees(self, taken: Taken, size: int, tolerance: float) -> bool:
        """Return whether the last steps left what the block did."""
        held = held_tensors(self._population, self._guard)
        usual = [self._guard.latest(size), *self._recorder.latest(size), *held]
        found = [taken.noted, *taken.measured, *taken.state]
        return all(_close(one, other, tolerance) for one, other in zip(found, usual, strict=True))

    def _refuse(self, reason: str) -> None:
        """Take ordinary steps from now on."""
        self.reason, self._blocks = reason, {}


def _close(one: torch.Tensor, other: torch.Tensor, tolerance: float) -> bool:
    """Return whether tensors agree, relative to the largest value; NaN is equal to NaN."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    one, other = one.double(), other.double()
    finite = other.nan_to_num(posinf=0.0, neginf=0.0).flatten()
    largest = float(torch.linalg.vector_norm(finite, math.inf)) if len(finite) else 0.0
    return torch.allclose(one, other, rtol=0.0, atol=tolerance * largest, equal_nan=True)
