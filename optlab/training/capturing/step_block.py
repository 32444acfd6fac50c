"""A block of steps as one function on memory that stays.

What the steps depend on is copied in before: parameters, states, what the check for finite values
keeps on the device, the rows of the batches, and the numbers that differ from step to step. What
they leave is copied out after. The steps themselves are those of the trainer, the check included,
so a run that diverges in a block is frozen in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from optlab.core.lazy import torch
from optlab.numerics.traced_number import NotRepeatable
from optlab.training.batches import BatchStream
from optlab.training.capturing.graph import Graph
from optlab.training.capturing.number_table import NumberTable
from optlab.training.capturing.trace import Call, recorded, tensors
from optlab.training.divergence import DivergenceGuard
from optlab.training.measured_steps import Inputs, Measured
from optlab.training.population import Population, PopulationState

Compute = Callable[["torch.Tensor", Inputs], Measured]
"""Parameters ``[R, P]`` and what else a step depends on → the step."""

_COPIES = frozenset({"copy_", "_to_copy"})


class Taken(NamedTuple):
    """What a block of n steps leaves.

    Attributes:
        measured: rows ``[n, M, R]`` of measures of one number a run, then each of the others
            ``[n, R, K]``. noted: ``[n, 2, R]``; see :meth:`DivergenceGuard.accept_on_device`.
        state: of the population and the check after the block; see :func:`held_tensors`.
    """

    measured: list[torch.Tensor]
    noted: torch.Tensor
    state: list[torch.Tensor]


def held_tensors(population: Population, guard: DivergenceGuard) -> list[torch.Tensor]:
    """Return all tensors, of any shape, that a step changes, in a fixed order."""
    safe, finite = guard.on_device
    return [*_flat(population.state), *_flat(safe), finite]


def _flat(state: PopulationState) -> list[torch.Tensor]:
    return [state.theta, *(value for group in state.groups for value in group.values())]


def _check_transfers(calls: Sequence[Call]) -> None:
    """Check that operations copy nothing between devices.

    Raises:
        NotRepeatable: one does, for which the host would wait.
    """
    for call in calls:
        given = list(tensors((call.arguments, tuple(call.keywords.values()))))
        if call.name not in _COPIES:
            # A number of the host is part of the launch.
            given = [one for one in given if one.dim() or one.device.type != "cpu"]
        if len({one.device for one in (*given, *call.results)}) > 1:
            raise NotRepeatable(f"{call.name} copies between host and device")


class StepBlock:
    """n steps of a population, captured as a graph.

    Args:
        population, guard, stream: those of the trainer. compute: a step. rows: of the first block,
            ``[streams, n, m]``. graph: what captures it.

    Raises:
        NotRepeatable: the steps cannot be captured.
        RuntimeError: the same, by torch or the device.
    """

    def __init__(
        self,
        population: Population,
        guard: DivergenceGuard,
        stream: BatchStream,
        compute: Compute,
        rows: torch.Tensor,
        graph: Graph,
    ) -> None:
        self._population = population
        self._guard = guard
        self._stream = stream
        self._compute = compute
        self._graph = graph
        self._size = rows.shape[1]
        self._rows = rows.clone(memory_format=torch.contiguous_format)
        self._memory = [one.clone() for one in held_tensors(population, guard)]
        self._table = NumberTable(population, population.step, self._size)
        # Finds which numbers there are; what must not be in a block ends it here.
        with recorded() as calls:
            self._take(1)
        _check_transfers(calls)
        self._results = graph.capture(lambda: self._take(self._size))

    def run(self, rows: torch.Tensor) -> Taken | None:
        """Take the next steps, without giving them to the population.

        Args:
            rows: of their batches, ``[streams, n, m]``.

        Returns:
            None where the block does not fit any longer.
        """
        if not self._fill(rows):
            return None
        self._graph.replay()
        # The next replay overwrites the results.
        noted, *rest = [one.clone() for one in self._results]
        state = rest[: len(self._memory)]
        return Taken(rest[len(self._memory) :], noted, state)

    def accept(self, taken: Taken) -> None:
        """Give the population the state after a block."""
        self._put(taken.state)
        self._guard.accepted_on_device(self._population.step, list(taken.noted))
        self._population.step += self._size

    def _fill(self, rows: torch.Tensor) -> bool:
        if not self._table.fill(self._population.step):
            return False
        for mine, its in zip(
            self._memory, held_tensors(self._population, self._guard), strict=True
        ):
            mine.copy_(its)
        self._rows.copy_(rows)
        return True

    def _take(self, count: int) -> list[torch.Tensor]:
        """Return what the first ``count`` steps leave, from the memory of the block.

        Returns:
            What was noted of each, the state after the last, and the measures; see :class:`Taken`.
        """
        size = self._rows.shape[2]
        x, y = self._stream.gathered(self._rows[:, :count].flatten(1))
        batches = zip(x.split(size, 1), y.split(size, 1), strict=True)
        noted: list[torch.Tensor] = []
        measured: list[list[torch.Tensor]] = []
        with self._in_memory():
            for number, (its_x, its_y) in enumerate(batches):
                with self._table.step(number) as rate:
                    inputs = Inputs(its_x, its_y, [], rate, keeps=False)
                    step = self._compute(self._population.theta, inputs)
                    measured.append([step.row, *step.vectors])
                    noted.append(self._guard.accept_on_device(step.proposed))
            state = held_tensors(self._population, self._guard)
        series = [torch.stack(values) for values in zip(*measured, strict=True)]
        return [torch.stack(noted), *state, *series]

    @contextmanager
    def _in_memory(self) -> Iterator[None]:
        """Let the population be what is in the memory of the block, inside."""
        state, step = self._population.state, self._population.step
        on_device = self._guard.on_device
        try:
            self._put(self._memory)
            yield
        finally:
            self._population.state, self._population.step = state, step
            self._guard.on_device = on_device

    def _put(self, tensors: Sequence[torch.Tensor]) -> None:
        given = iter(tensors)
        state, safe = self._arranged(given), self._arranged(given)
        self._population.state = state
        self._guard.on_device = safe, next(given)

    def _arranged(self, given: Iterator[torch.Tensor]) -> PopulationState:
        theta = next(given)
        groups = [{name: next(given) for name in group.state} for group in self._population.groups]
        return PopulationState(theta, groups)
