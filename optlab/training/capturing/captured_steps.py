"""Steps of a population that repeat a recording, where there is one.

A population begins with ordinary steps. The second time that batches of one shape have been seen
often enough, a step is recorded; the next ones are taken both ways and compared bit by bit, and only
what agrees is used from then on. So a captured step is an ordinary step, and what cannot be
captured (rules that look at values, random numbers, decisions by the number of the step) is simply
not.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from optlab.catalogue.optimizers.base import State
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.lazy import torch
from optlab.numerics.compiled.compiler import NotCompiled
from optlab.numerics.traced_number import NotRepeatable, Numbers
from optlab.training.capturing.agreement import same_bits, same_but_for_rounding
from optlab.training.capturing.program import SIDES, Entry, Program, Recording
from optlab.training.capturing.trace import Call, recorded, tensors
from optlab.training.events import StepMode
from optlab.training.measured_steps import Inputs, Measured
from optlab.training.population import Population, PopulationState
from optlab.training.stepping import ProposedStep

_LOG = logging.getLogger(__name__)

FIRST = 24
"""Ordinary steps on batches of a shape before one is recorded, in the time of some seventy."""
SOON = 4
"""The same for the first shape, where many steps are known to follow."""
CHECKED = 2
"""Steps that are taken both ways before a recording is used."""
_DRAWN = 0.1
"""Scale of the parameters from which a compiled step is compared with an ordinary one."""
_PROGRAMS = 6  # shapes of batches whose steps are recorded, at most
_VALUES = 16_000_000
"""Values of parameters and states of all runs, at most: the time of larger ones is arithmetic."""

Shape = tuple[Any, ...]
Row = tuple["torch.Tensor", list["torch.Tensor"]]
"""Measures of a step: those of one number a run ``[M, R]``, and the others."""
Compute = Callable[["torch.Tensor", Inputs], Measured]
"""Parameters ``[R, P]`` and what else a step depends on → the step."""


class CapturedSteps:
    """Takes the steps of a population by recordings of its operations.

    Args:
        population: whose steps repeat themselves (:attr:`Population.obstacle`). compute: a step.
        ended: the runs that have ended, which are computed on and not accepted.
        first: ordinary steps before the first recording.
        compiled: whether recordings are translated to C++. Each step is a compiled one then, from
            the first one on, so that the same run has the same numbers wherever it begins.

    Attributes:
        repeated: number of steps that were taken by a recording.
        reason: why none are, or why they are not compiled, a clause; "" while nothing is known.
    """

    def __init__(
        self,
        population: Population,
        compute: Compute,
        ended: Collection[int] = (),
        first: int = FIRST,
        *,
        compiled: bool = False,
    ) -> None:
        self._population = population
        self._first = first
        self._compiles = compiled
        self._ended = ended
        self._alive: torch.Tensor | None = None
        self._without = 0
        self._checking = False
        self._rate: torch.Tensor = torch.zeros_like(population.theta[:, 0])
        self._rate_of: torch.Tensor | None = None
        self._compute = compute
        self.repeated = 0
        self._names = [list(group.state) for group in population.groups]
        self._sides: list[list[torch.Tensor]] = []
        self._source = 0
        self._given: list[torch.Tensor] = []
        self._seen: dict[Shape, int] = {}
        self._programs: dict[Shape, Entry] = {}
        self._checks: dict[Shape, int] = {}
        self._columns: dict[str, torch.Tensor] = {}
        self._varies: list[tuple[str, Hyperparameters, str]] | None = None
        self._outdated = False
        self._refused = self._size() > _VALUES
        self.reason = ""
        if self._refused:
            self.reason = f"parameters and states have more than {_VALUES:,} values"

    @property
    def mode(self) -> StepMode:
        """How steps are taken at present; recordings that have not been checked count for nothing."""
        if self._refused or all(self._checks.values()):
            return "ordinary"
        return "compiled" if self._compiles else "recorded"

    def _size(self) -> int:
        return sum(tensor.numel() for tensor in self._tensors())

    def _tensors(self) -> list[torch.Tensor]:
        """Return the parameters and the states of the population, as they are."""
        return [
            self._population.theta,
            *(
                group.state[name]
                for group, names in zip(self._population.groups, self._names, strict=True)
                for name in names
            ),
        ]

    def forget(self) -> None:
        """Drop all recordings: a hyperparameter or what is measured has changed."""
        self.leave()
        self._seen, self._programs, self._checks, self._columns = {}, {}, {}, {}
        self._varies, self._outdated = None, False

    def leave(self) -> None:
        """Give the population tensors of its own, which the next steps do not overwrite."""
        if any(mine is its for mine, its in zip(self._tensors(), self._given, strict=False)):
            self._put([tensor.clone() for tensor in self._tensors()])

    def _put(self, tensors_: Sequence[torch.Tensor]) -> None:
        """Give the population other tensors of the same values."""
        theta, states = self._arranged(tensors_)
        self._population.theta = theta
        for group, state in zip(self._population.groups, states, strict=True):
            group.state = state

    def _arranged(self, given: Sequence[torch.Tensor]) -> tuple[torch.Tensor, list[State]]:
        rest = iter(given)
        theta = next(rest)
        return theta, [{name: next(rest) for name in names} for names in self._names]

    def step(self, inputs: Inputs) -> Measured | None:
        """Return the next step on a batch, when the rates have been set.

        Parameters and states are overwritten two steps later, other tensors by the next step.

        Returns:
            None where the step has to be computed as usual.
        """
        if self._refused:
            return None
        x, y = inputs.x, inputs.y
        shape = (x.shape, x.stride(), y.shape, y.stride(), inputs.keeps)
        entry = self._programs.get(shape)
        if entry is None and not self._compiles:
            seen = self._seen[shape] = self._seen.get(shape, 0) + 1
            first = FIRST if self._programs else self._first
            if seen > first and len(self._programs) < _PROGRAMS:
                self._record(shape, inputs)
            return None
        if entry is None:
            measured = self._compiled(shape, inputs)
        elif self._checks[shape]:
            self._check(shape, entry, inputs)
            return None
        else:
            measured = self._repeated(entry, inputs)
        if self._outdated:
            self.forget()
        elif measured is not None:
            self._source = (self._source + 1) % SIDES
            self.repeated += 1
        return measured

    def _compiled(self, shape: Shape, inputs: Inputs) -> Measured | None:
        """Return the first step of a shape, compiled, if it agrees with an ordinary one."""
        if len(self._programs) >= _PROGRAMS:
            return None
        # Before it is recorded: some tensors are made once, by the first step.
        self._compute(self._population.theta, inputs)
        self._record(shape, inputs)
        entry = self._programs.get(shape)
        if entry is None or not self._agrees_elsewhere(entry, inputs):
            return None
        self._checks[shape] = 0
        return self._repeated(entry, inputs)

    def _agrees_elsewhere(self, entry: Entry, inputs: Inputs) -> bool:
        """Return whether a compiled step agrees with an ordinary one, from drawn parameters.

        Those of a run that has learned its examples have gradients that are differences of nearly
        equal numbers, in which nothing but rounding would be compared. Nothing is changed.
        """
        kept = [[tensor.clone() for tensor in side] for side in self._sides]
        before, given = self._tensors(), self._given
        drawn = torch.empty_like(before[0]).normal_(generator=torch.Generator().manual_seed(0))
        self._put([drawn.mul_(_DRAWN), *before[1:]])
        self._given = []
        self._checking = True  # of runs that have ended, too
        try:
            self._check_once(entry, inputs)
        finally:
            self._checking = False
            for side, its in zip(self._sides, kept, strict=True):
                for tensor, values in zip(side, its, strict=True):
                    tensor.copy_(values)
            self._put(before)
            self._given = given
        return not self._refused

    # --- steps at which nothing looks -------------------------------------------------------------

    def several(
        self, count: int, inputs: Callable[[], Inputs], took: Callable[[Row], bool]
    ) -> PopulationState | None:
        """Take steps of which no more is kept than their measures, as long as recordings fit.

        Args:
            count: of steps, at most. inputs: prepares the next step. took: gets the measures of each
                step that was taken, and says whether another may follow.

        Returns:
            The state before the last of them, which the next step overwrites; None where none was
            taken.
        """
        if self._refused or not self._programs:
            return None
        self._load()
        ended = self._ended_rows() if self._ended else []
        taken = 0
        while taken < count:
            row = self._stretched(inputs())
            if row is None:
                break
            taken += 1
            if not took(row):
                break
        return self._settle(ended) if taken else None

    def _stretched(self, inputs: Inputs) -> Row | None:
        """Take a step to the other side; None where it has to be computed as usual."""
        x, y = inputs.x, inputs.y
        shape = (x.shape, x.stride(), y.shape, y.stride(), inputs.keeps)
        entry = self._programs.get(shape)
        if entry is None or self._checks[shape]:
            return None
        results = self._run(entry, inputs)
        if results is None:
            return None
        row, total = results[4:6]
        alive = self._alive_runs()
        if alive is not None:
            total = row.index_select(1, alive).sum()
        if not math.isfinite(total.item()):
            return None
        self._source = (self._source + 1) % SIDES
        self.repeated += 1
        vectors = results[6 + entry.used : 6 + entry.used + entry.vectors]
        # Values that are kept until a block is due.
        return row.clone(), [one.clone() for one in vectors]

    def _ended_rows(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return, for each tensor, the rows of ended runs: their indices, and their values."""
        runs, *rows = self._population.indices(self._ended)
        indices = [runs]
        for its, names in zip(rows, self._names, strict=True):
            indices += [its] * len(names)
        return [
            (index, tensor.index_select(0, index))
            for index, tensor in zip(indices, self._tensors(), strict=True)
        ]

    def _settle(self, ended: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> PopulationState:
        """Give the population the tensors of the last step; return its state of the one before.

        Args:
            ended: what the rows of ended runs are in both.
        """
        for side in self._sides:
            for tensor, (index, values) in zip(side, ended, strict=bool(ended)):
                tensor.index_copy_(0, index, values)
        theta, *states = self._sides[self._source]
        self._given = [theta.detach(), *states]
        self._put(self._given)
        return PopulationState(*self._arranged(self._sides[(self._source + 1) % SIDES]))

    # --- repeating --------------------------------------------------------------------------------

    def _load(self) -> None:
        """Copy to this side what of the population is not there already."""
        side = self._sides[self._source]
        given = self._given or side
        for mine, last, its in zip(self._tensors(), given, side, strict=True):
            if mine is not last:
                its.copy_(mine)

    def _run(self, entry: Entry, inputs: Inputs) -> tuple[torch.Tensor, ...] | None:
        """Take a step by its recording; see :meth:`Program.run`.

        None also where the recording does not fit any longer.
        """
        if inputs.rate is not self._rate_of:
            self._rate_of = inputs.rate
            self._rate.copy_(inputs.rate)
        leaves = self._leaves()
        if leaves is None:
            self._outdated = True
            return None
        return entry.program.run(self._source, (inputs.x, inputs.y), leaves, self._alive_runs())

    def _repeated(self, entry: Entry, inputs: Inputs) -> Measured | None:
        """Return a step by its recording, from this side to the other; None where it diverges."""
        self._load()
        results = self._run(entry, inputs)
        if results is None:
            return None
        point, loss, gradient, norm, row, total = results[:6]
        used = list(results[6 : 6 + entry.used])
        vectors = results[6 + entry.used : 6 + entry.used + entry.vectors]
        rest = results[6 + entry.used + entry.vectors :]
        clipped = rest[0] if entry.clips else None
        layers = None
        if entry.layers is not None:
            flat = rest[int(entry.clips) :]
            layers = list(zip(flat[::2], flat[1::2], strict=True))
        theta, *states = self._sides[(self._source + 1) % SIDES]
        # Whoever keeps something about the parameters knows them by their tensor.
        self._given = [theta.detach(), *states]
        after, arranged = self._arranged(self._given)
        proposed = ProposedStep(
            point, loss, gradient, norm, used, after, arranged, inputs.rates, {}, clipped
        )
        # Values that are kept until a block is due.
        return Measured(
            self._population.theta,
            proposed,
            row.clone(),
            total,
            [one.clone() for one in vectors],
            inputs.rate,
            repeated=True,
            layers=layers,
        )

    def _alive_runs(self) -> torch.Tensor | None:
        """Return the indices of the runs that have not ended; None for all."""
        if not self._ended or self._checking:
            return None
        if self._alive is None or self._without != len(self._ended):
            runs = range(len(self._population.theta))
            self._alive = torch.tensor([run for run in runs if run not in self._ended])
            self._without = len(self._ended)
        return self._alive

    def _check(self, shape: Shape, entry: Entry, inputs: Inputs) -> None:
        """Take the step both ways, and repeat none from now on unless they agree."""
        given = self._given
        self._checks[shape] -= 1
        self._check_once(entry, inputs)
        self._given = given

    def _check_once(self, entry: Entry, inputs: Inputs) -> None:
        theta = self._population.theta
        try:
            repeated = self._repeated(entry, inputs)
            usual = self._compute(theta, inputs)
            if repeated is None:
                agrees = True
            elif self._compiles:
                agrees = same_but_for_rounding(usual, repeated, self._population.groups, theta)
            else:
                agrees = same_bits(usual, repeated)
            self.reason = "" if agrees else "a repeated step has other values than an ordinary one"
        except RuntimeError as reason:
            agrees = False
            self.reason = "a step cannot be repeated"
            _LOG.info("steps are not captured: %s", reason)
        if not agrees:
            _LOG.info("steps are not captured: %s", self.reason)
            self.leave()
            self._refused = True

    def _leaves(self) -> Mapping[str, float] | None:
        """Return name → value of the numbers that differ from step to step; fill the columns.

        None where a number that was one for all runs when it was recorded is another in each now.
        """
        leaves: dict[str, float] = {}
        if self._varies is None:
            self._varies = self._varying()
        for name, h, field in self._varies:
            value = getattr(h, field)
            column = self._columns.get(name)
            if column is None:
                if isinstance(value, torch.Tensor):
                    return None
                leaves[name] = value
            elif isinstance(value, torch.Tensor):
                column.copy_(value)
            else:
                column.fill_(value)
        return leaves

    def _varying(self) -> list[tuple[str, Hyperparameters, str]]:
        """Return a name, and where it is, of each hyperparameter that differs from step to step."""
        return [
            (f"{number}.{section}.{field}", h, field)
            for number, group in enumerate(self._population.groups)
            for section, h, field in group.varying()
        ]

    # --- recording --------------------------------------------------------------------------------

    def _record(self, shape: Shape, inputs: Inputs) -> None:
        """Record a step; the population is as it was before."""
        before = self._tensors()
        if not self._sides:
            self._sides = [[torch.empty_like(tensor) for tensor in before] for _ in range(SIDES)]
        own = [tensor.clone(memory_format=torch.contiguous_format) for tensor in before]
        static = inputs._replace(rate=self._rate)
        try:
            self._put(own)
            first, numbers, measured = self._traced(static)
            second, others, _ = self._traced(static, other=True)
            proposed = measured.proposed
            after = [proposed.after]
            for state, names in zip(proposed.states, self._names, strict=True):
                after += [state[name] for name in names]
            recording = Recording(
                first,
                second,
                (numbers, others),
                tuple(own),
                tuple(after),
                (inputs.x, inputs.y),
                proposed.loss,
                (
                    *(proposed.point, proposed.loss, proposed.gradient, proposed.norm),
                    *(measured.row, measured.total),
                    *proposed.used,
                    *measured.vectors,
                    *tensors(proposed.clipped),
                    *tensors(measured.layers),
                ),
            )
            program = Program(recording, self._sides, compiles=self._compiles)
        except (NotRepeatable, RuntimeError, TypeError, ImportError) as reason:
            # Torch has operations of many kinds; what cannot be repeated is computed as usual.
            _LOG.info("steps are not captured: %s", reason)
            self._refused = True
            known = f": {reason}" if isinstance(reason, (NotRepeatable, NotCompiled)) else ""
            self.reason = f"a step cannot be repeated{known}"
            return
        finally:
            self._put(before)
        self._programs[shape] = Entry(
            program,
            len(proposed.used),
            len(measured.vectors),
            proposed.clipped is not None,
            None if measured.layers is None else len(measured.layers),
        )
        self._checks[shape] = CHECKED

    def _traced(
        self,
        inputs: Inputs,
        *,
        other: bool = False,
    ) -> tuple[list[Call], Numbers, Measured]:
        """Return the operations of a step.

        Args:
            other: whether the hyperparameters that differ from step to step get other values.

        Raises:
            NotRepeatable: they cannot be repeated.
        """
        numbers, varying = Numbers(other=other), self._varying()
        values = [getattr(h, field) for _, h, field in varying]
        try:
            for (name, h, field), value in zip(varying, values, strict=True):
                setattr(h, field, self._leaf(numbers, name, value, other=other))
            with recorded() as calls:
                measured = self._compute(self._population.theta, inputs)
        finally:
            for (_, h, field), value in zip(varying, values, strict=True):
                setattr(h, field, value)
        return calls, numbers, measured

    def _leaf(self, numbers: Numbers, name: str, value: Any, *, other: bool) -> Any:
        if isinstance(value, torch.Tensor):
            return self._columns.setdefault(name, value.clone())
        if other:
            value = value + 1 if isinstance(value, int) else value * 1.25 + 1e-9
        return numbers.leaf(name, value)
