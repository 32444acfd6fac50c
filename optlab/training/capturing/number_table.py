"""Numbers that differ from step to step, as a table on the device: one row a step of a block.

A block is launched as a whole, so that Python computes nothing between its steps. Learning rates,
what follows a schedule and what a rule computes from them or from the number of the step are
computed before, for all steps of the block, and copied to the device at once. The rule gets traced
numbers (:mod:`optlab.numerics.traced_number`); where one meets a tensor, its place in the table
takes its part. Torch sees NaN in a number that has got to it in any other way, so that a block in
which one has is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from optlab.core.hyperparameters import Hyperparameters
from optlab.core.lazy import torch
from optlab.numerics.traced_number import NotRepeatable, Numbers, TracedNumber
from optlab.training.population import Population

_MOST_NUMBERS = 64
"""Numbers of a step, at most, beside those that each run has for itself."""


class _Leaf(NamedTuple):
    """A hyperparameter that differs from step to step.

    Attributes:
        name: for :class:`Numbers`. h, field: where it is. column: its columns in the table where it
            is a tensor ``[rows, 1]``; None where it is a number.
    """

    name: str
    h: Hyperparameters
    field: str
    column: slice | None


class NumberTable:
    """What differs between the steps of a block.

    Args:
        population: whose steps they are. step: of the first, whose numbers tell which
            hyperparameters are numbers and which are columns. size: steps of a block.
    """

    def __init__(self, population: Population, step: int, size: int) -> None:
        self._population = population
        self._size = size
        self._leaves: list[_Leaf] = []
        width = self._runs = len(population.theta)
        for number, group in enumerate(population.groups):
            for where, values in zip(group.varying(), group.varying_at(step), strict=True):
                section, h, field = where
                column = None
                if not _agree(values):
                    column = slice(width, width + len(values))
                    width += len(values)
                self._leaves.append(_Leaf(f"{number}.{section}.{field}", h, field, column))
        self._width = width
        self._numbers: Numbers | None = None
        self._places: dict[int, int] = {}
        theta = population.theta
        self._table = torch.zeros(
            (size, width + _MOST_NUMBERS), dtype=torch.float64, device=theta.device
        )

    def fill(self, step: int) -> bool:
        """Copy the numbers of a block to the device.

        Args:
            step: of the first (0, 1, …).

        Returns:
            False where a hyperparameter that was one number for all runs differs between them now,
            or the other way round.
        """
        assert self._numbers is not None, "the numbers of a step are known when it has been taken"
        table: list[list[float]] = []
        for number in range(self._size):
            row = self._row(step + number)
            if row is None:
                return False
            table.append(row + [0.0] * (self._table.shape[1] - len(row)))
        # Waits for the block before, which bounds how far Python gets ahead of the device.
        self._table.copy_(torch.tensor(table, dtype=torch.float64))
        return True

    def _row(self, step: int) -> list[float] | None:
        assert self._numbers is not None
        rates = [0.0] * self._runs
        columns: list[float] = []
        known: dict[str, float] = {}
        leaves = iter(self._leaves)
        for group in self._population.groups:
            for row, rate in zip(group.rows, group.rates_at(step), strict=True):
                rates[row] = rate
            for values in group.varying_at(step):
                leaf = next(leaves)
                if _agree(values) != (leaf.column is None):
                    return None
                if leaf.column is None:
                    known[leaf.name] = values[0]
                else:
                    columns += values
        computed = self._numbers.evaluated(list(self._places), known)
        return [*rates, *columns, *(computed[index] for index in self._places)]

    @contextmanager
    def step(self, number: int) -> Iterator[torch.Tensor]:
        """Give the hyperparameters the numbers of a step inside; yield the learning rates ``[R]``.

        Args:
            number: of the step in its block.

        Raises:
            NotRepeatable: too many numbers, or others than in the steps before.
        """
        dtype = self._population.theta.dtype
        row = self._table[number]
        numbers = Numbers(hidden=True)
        known = self._numbers is not None

        def place_of(traced: TracedNumber) -> torch.Tensor:
            if traced.index not in self._places:
                if known or len(self._places) == _MOST_NUMBERS:
                    raise NotRepeatable("the steps of a block compute with other numbers")
                self._places[traced.index] = self._width + len(self._places)
            return row[self._places[traced.index]]

        before = [getattr(leaf.h, leaf.field) for leaf in self._leaves]
        try:
            for leaf, value in zip(self._leaves, before, strict=True):
                given: Any = (
                    numbers.leaf(leaf.name, value)
                    if leaf.column is None
                    else row[leaf.column].to(dtype).unsqueeze(1)
                )
                setattr(leaf.h, leaf.field, given)
            with _replaced_numbers(place_of):
                yield row[: self._runs].to(dtype)
        finally:
            for leaf, value in zip(self._leaves, before, strict=True):
                setattr(leaf.h, leaf.field, value)
        self._numbers = self._numbers or numbers


def _agree(values: Sequence[float]) -> bool:
    return all(value == values[0] for value in values)


@contextmanager
def _replaced_numbers(place_of: Callable[[TracedNumber], torch.Tensor]) -> Iterator[None]:
    """Give torch a tensor in place of every traced number inside."""
    from torch.overrides import TorchFunctionMode

    class Replacing(TorchFunctionMode):
        def __torch_function__(
            self,
            func: Any,
            types: Any,
            args: tuple[Any, ...] = (),
            kwargs: Mapping[str, Any] | None = None,
        ) -> Any:
            given, named = _replaced(args, place_of), _replaced(dict(kwargs or {}), place_of)
            if func is torch.Tensor.new_full and isinstance(args[2], TracedNumber):
                # It would read the number from the device.
                like, size, value = given
                return like.new_empty(size, **named).fill_(value)
            return func(*given, **named)

    with Replacing():
        yield


def _replaced(value: Any, place_of: Callable[[TracedNumber], torch.Tensor]) -> Any:
    if isinstance(value, TracedNumber):
        return place_of(value)
    if type(value) in (list, tuple):
        return type(value)(_replaced(one, place_of) for one in value)
    if type(value) is dict:
        return {name: _replaced(one, place_of) for name, one in value.items()}
    return value
