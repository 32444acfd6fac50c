"""Operands of recorded operations as C++ addresses them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optlab.core.lazy import torch
from optlab.training.capturing.trace import Call, memory_of

TYPES: Mapping[str, str] = {"float32": "float", "float64": "double", "int64": "int64_t"}


@dataclass(frozen=True)
class Pair:
    """A tensor ``[…]`` as the steps from either side have it: of one type, shape and strides.

    Attributes:
        one, other: the tensors. memory: what it shares memory with, as the recording has it; offset:
            in elements, there. private: whether nothing but the loop over the runs that computes it
            needs it, so that a place for one run is enough. of_run: whether it is the part of the
            first run, which loops over the runs take for any.
    """

    one: torch.Tensor
    other: torch.Tensor
    memory: int
    offset: int
    private: bool = False
    of_run: bool = False

    @property
    def step(self) -> int:
        """What each run adds to its address, in elements."""
        return self.strides[0] if self.of_run else 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.one.shape)

    @property
    def strides(self) -> tuple[int, ...]:
        """Its strides in elements."""
        return tuple(self.one.stride())

    @property
    def kind(self) -> str:
        """Its type in C++; "" for types that are not translated."""
        return TYPES.get(str(self.one.dtype).removeprefix("torch."), "")

    def changed(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Pair:
        """Return a view of it.

        Args:
            change: tensor of any shape → its view.
        """
        return replace(self, one=change(self.one), other=change(self.other))

    def expanded(self, shape: Sequence[int]) -> Pair:
        """Return it broadcast to a shape."""
        return self.changed(lambda tensor: tensor.expand(tuple(shape)))

    def same_place(self, other: Pair) -> bool:
        """Return whether both are the same elements in the same order."""
        if self.private or other.private:
            at, its = (self.memory, self.offset), (other.memory, other.offset)
        else:
            at, its = (self.one.data_ptr(), 0), (other.one.data_ptr(), 0)
        return (at, self.shape, self.strides) == (its, other.shape, other.strides)

    def overlaps(self, other: Pair) -> bool:
        """Return whether both may have an element in common."""
        if self.private or other.private:
            return self.memory == other.memory
        return any(
            low < its_high and its_low < high
            for (low, high), (its_low, its_high) in (
                (extent(self.one), extent(other.one)),
                (extent(self.other), extent(other.other)),
            )
        )


def extent(tensor: torch.Tensor) -> tuple[int, int]:
    """Return the first and the last address of a tensor of any shape, the last one exclusive."""
    begin = tensor.data_ptr()
    if not tensor.numel():
        return begin, begin
    last = sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return begin, begin + (last + 1) * tensor.element_size()


@dataclass(frozen=True)
class Planned:
    """One operation of a recorded step, on the memory of one side.

    Attributes:
        number: its place among the operations. call: as it was recorded. arguments, keywords, results: the same on memory that stays, its
            tensors of any shape. numbers: position or keyword → which of the numbers that differ
            from step to step it is. function: executes it by torch.
    """

    number: int
    call: Call
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    results: tuple[torch.Tensor, ...]
    numbers: Mapping[int | str, int]
    function: Callable[[], Any]


class Slots:
    """The pointers of a translated step.

    Attributes:
        all: what they point to, in the order of their numbers.
    """

    def __init__(self) -> None:
        self.all: list[Pair] = []
        self._numbers: dict[tuple[Any, ...], int] = {}

    def number(self, pair: Pair) -> int:
        """Return the number of the pointer to a tensor."""
        at = (
            (pair.memory, pair.offset)
            if pair.private
            else (pair.one.data_ptr(), pair.other.data_ptr())
        )
        key = (*at, pair.private, pair.kind, pair.of_run, pair.step)
        if key not in self._numbers:
            self._numbers[key] = len(self.all)
            self.all.append(pair)
        return self._numbers[key]


def paired(one: Any, other: Any, recorded: Any) -> Any:
    """Return arguments of both sides with their tensors as pairs."""
    if isinstance(one, torch.Tensor):
        return Pair(one, other, memory_of(recorded), int(recorded.storage_offset()))
    if isinstance(one, (list, tuple)):
        return [paired(*its) for its in zip(one, other, recorded, strict=True)]
    return one
