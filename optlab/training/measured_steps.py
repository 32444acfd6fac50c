"""Steps of a population together with what is measured of them, computed or repeated.

The measures are recorded; the step is not accepted here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from optlab.catalogue.measures.base import Step
from optlab.catalogue.models.capabilities import Layers
from optlab.core.lazy import torch
from optlab.objective.device import uploaded
from optlab.objective.objective import Objective
from optlab.training.events import StepMode
from optlab.training.population import Population, PopulationState
from optlab.training.recorder import Recorder
from optlab.training.stepping import ProposedStep

if TYPE_CHECKING:
    from optlab.training.batches import BatchStream
    from optlab.training.capturing.captured_steps import CapturedSteps, Row
    from optlab.training.capturing.graph import Graph
    from optlab.training.capturing.step_blocks import StepBlocks
    from optlab.training.divergence import DivergenceGuard

Batch = tuple["torch.Tensor", "torch.Tensor"]
"""Inputs and targets ``[R, m, …]``."""


_MANY_STEPS = 200
"""Steps from which a recording pays whatever happens to the run."""


class Measured(NamedTuple):
    """A step and what is measured of it.

    Attributes:
        before: parameters ``[R, P]`` before the step. proposed: the step. row: measures ``[M, R]``
            of one number a run; total: their sum, for the check that all are finite. vectors: the
            other measures. rate: learning rates ``[R]``. evaluations: gradients evaluated until then
            ``[R]``; None where each step evaluates one. repeated: whether later steps overwrite the
            tensors of this one. layers: those that the gradient passed through, where the objective
            keeps them.
    """

    before: torch.Tensor
    proposed: ProposedStep
    row: torch.Tensor
    total: torch.Tensor
    vectors: list[torch.Tensor]
    rate: torch.Tensor
    evaluations: torch.Tensor | None = None
    repeated: bool = False
    layers: Layers | None = None

    def owned(self) -> Measured:
        """Return the step with tensors that no later step overwrites, for instruments.

        Layers are read at once, and remain as they are.
        """
        if not self.repeated:
            return self
        proposed = self.proposed
        return self._replace(
            before=self.before.clone(),
            proposed=proposed._replace(
                point=proposed.point.clone(),
                loss=proposed.loss.clone(),
                gradient=proposed.gradient.clone(),
                after=proposed.after.clone(),
            ),
        )


class Inputs(NamedTuple):
    """What a step depends on beside parameters and states.

    Attributes:
        x, y: the batch ``[R, m, …]``. rates: learning rates that have been set, one a run; rate: the
            same as a tensor ``[R]``. keeps: whether the layers of the gradient are kept.
    """

    x: torch.Tensor
    y: torch.Tensor
    rates: list[float]
    rate: torch.Tensor
    keeps: bool


class MeasuredSteps:
    """Computes the next step of a population and its measures.

    Args:
        objective: of the population, which may keep layers.
        population: whose steps these are. recorder: of the measures. ended: the runs that have
            ended. evaluations: see below.

    Attributes:
        tracked: flat indices ``[K]`` of the tracked weights. evaluations: gradients evaluated so
            far ``[R]``, a run that has ended excepted; None where each step evaluates one.
        obstacle: what is known beforehand to stand in the way of recorded steps, or of compiled
            ones that are asked for: a clause, or "".
    """

    def __init__(
        self,
        objective: Objective,
        population: Population,
        recorder: Recorder,
        ended: Collection[int],
        evaluations: torch.Tensor | None,
    ) -> None:
        self._objective = objective
        self._population = population
        self._recorder = recorder
        self._ended = ended
        self.evaluations = evaluations
        self._rates: list[float] = []
        self._rate: torch.Tensor = torch.zeros_like(population.theta[:, 0])
        self.tracked: torch.Tensor = torch.empty(0, dtype=torch.int64)
        self.obstacle = ""
        self._captured: CapturedSteps | None = None
        self._blocks: StepBlocks | None = None

    def capture(self, steps: int = 0, *, compiled: bool = False) -> None:
        """Repeat recorded operations from now on, where that gives the same.

        Tensors of the population are then overwritten after some steps: for those who keep none.

        Args:
            steps: that are known to follow.
            compiled: whether they are translated to C++, where numbers agree up to rounding.
        """
        if self._captured is not None:
            return
        self.obstacle = self._population.obstacle
        if not self.obstacle:
            from optlab.training.capturing.captured_steps import FIRST, SOON, CapturedSteps

            first = SOON if steps >= _MANY_STEPS else FIRST
            self._captured = CapturedSteps(
                self._population, self._compute, self._ended, first, compiled=compiled
            )

    def capture_blocks(
        self,
        guard: DivergenceGuard,
        stream: BatchStream,
        advance: Callable[[], None],
        graph: Callable[[], Graph],
    ) -> None:
        """Take steps at which nothing looks in blocks from now on, where that gives the same.

        Args:
            guard: whose check is deferred. stream: of the batches. advance: takes and records an
                ordinary step. graph: makes what captures a block.
        """
        if self._blocks is not None:
            return
        self.obstacle = self._population.obstacle
        if not self.obstacle:
            from optlab.training.capturing.step_blocks import StepBlocks

            self._blocks = StepBlocks(
                self._population, guard, self._recorder, stream, self._compute, advance, graph
            )

    @property
    def mode(self) -> StepMode:
        """How steps are taken at present."""
        return "ordinary" if self._taking is None else self._taking.mode

    @property
    def reason(self) -> str:
        """Why they are taken in no faster way, a clause; "" where nothing is known."""
        found = "" if self._taking is None else self._taking.reason
        return found or self.obstacle

    def follow(self, indices: Sequence[int]) -> None:
        """Measure the weights of these flat indices from now on."""
        self.tracked = torch.tensor(indices, dtype=torch.int64, device=self._rate.device)
        self.forget()

    def next(self, x: torch.Tensor, y: torch.Tensor) -> Measured:
        """Return the next step on the batch ``x``, ``y`` ``[R, m, …]``, and record its measures."""
        measured = self._next(x, y)
        self._recorder.keep(self._population.step + 1, measured.row, measured.vectors)
        self.evaluations = measured.evaluations
        return measured

    def several(
        self, count: int, batch_of: Callable[[int], Batch], more: Callable[[], bool]
    ) -> PopulationState | None:
        """Take steps by repeating recorded operations, and record their measures.

        Args:
            count: of steps, at most. batch_of: step (0, 1, …) → its batch. more: is asked after each
                step whether another may follow.

        Returns:
            The state before the last of them, which the next step overwrites; None where none was
            taken, or where their check is deferred.
        """
        if self._blocks is not None:
            self._blocks.several(count, more)
        if self._captured is None:
            return None
        population = self._population

        def took(row: Row) -> bool:
            self._recorder.keep(population.step + 1, *row)
            population.step += 1
            return more()

        return self._captured.several(count, lambda: self._inputs(*batch_of(population.step)), took)

    def _inputs(self, x: torch.Tensor, y: torch.Tensor) -> Inputs:
        """Return what the next step depends on, when its rates have been set."""
        rates = self._population.begin_step()
        if rates != self._rates:
            # Instruments keep it: another tensor, not other values.
            self._rates, self._rate = list(rates), uploaded(rates, self._rate)
        return Inputs(x, y, rates, self._rate, self._objective.keeping)

    def _next(self, x: torch.Tensor, y: torch.Tensor) -> Measured:
        inputs = self._inputs(x, y)
        if self._captured is not None:
            repeated = self._captured.step(inputs)
            if repeated is not None:
                return repeated
            self._captured.leave()
        return self._compute(self._population.theta, inputs)

    @property
    def repeated(self) -> int:
        """Number of steps that repeated recorded operations."""
        return 0 if self._taking is None else self._taking.repeated

    @property
    def _taking(self) -> CapturedSteps | StepBlocks | None:
        """What takes steps other than ordinary ones."""
        return self._captured or self._blocks

    def release(self) -> None:
        """Give the population tensors that no later step overwrites."""
        if self._captured is not None:
            self._captured.leave()

    def forget(self) -> None:
        """Record no longer what has been recorded: something of a step has changed."""
        if self._taking is not None:
            self._taking.forget()

    def _compute(self, theta: torch.Tensor, inputs: Inputs) -> Measured:
        proposed = self._population.propose_at(theta, inputs.x, inputs.y, inputs.rates)
        seen = Step(
            proposed.loss,
            proposed.gradient,
            proposed.norm,
            before=theta,
            after=proposed.after,
            rate=inputs.rate,
            tracked=self.tracked,
            clipped=proposed.clipped,
            gradient_evaluations=self._counted(proposed),
        )
        row, vectors = self._recorder.measured(seen)
        kept = self._objective.kept if inputs.keeps else None
        return Measured(
            theta,
            proposed,
            row,
            row.sum(dim=(0, 1)),
            vectors,
            inputs.rate,
            seen.gradient_evaluations,
            layers=kept[1] if kept is not None and kept[0] is proposed.point else None,
        )

    def _counted(self, proposed: ProposedStep) -> torch.Tensor | None:
        """Return the gradients evaluated until after a step ``[R]``."""
        if self.evaluations is None:
            return None
        return self.evaluations + torch.tensor(
            [0 if run in self._ended else count for run, count in enumerate(proposed.evaluations)]
        )
