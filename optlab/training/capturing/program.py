"""A recorded step as a list of calls on memory that stays.

Parameters and states lie in *sides*, of which a step reads one and writes the other. It writes only
when its loss has turned out to be finite: until then the step before is still there. Whatever it
computes on the way lies in one block of memory, in which tensors that are not needed at the same
time share a place. Views are made once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from optlab.core.lazy import torch
from optlab.numerics.traced_number import NotRepeatable, Numbers
from optlab.training.capturing.arena import Span, placed
from optlab.training.capturing.calls import Make, planned
from optlab.training.capturing.native.operands import Planned
from optlab.training.capturing.native.program import NativeProgram
from optlab.training.capturing.trace import ALLOCATIONS, CONSTANTS, Call, memory_of, tensors

SIDES = 2


@dataclass(frozen=True)
class Recording:
    """One computation, recorded twice with other numbers.

    Attributes:
        first, second: both recordings. numbers: the traced numbers of each.
        sides: the tensors that a step reads from a side, as the first recording had them.
        after: those that it writes to the next side, in the same order.
        batch: inputs and targets. loss: ``[R]``. results: what else is wanted.
    """

    first: list[Call]
    second: list[Call]
    numbers: tuple[Numbers, Numbers]
    sides: tuple[torch.Tensor, ...]
    after: tuple[torch.Tensor, ...]
    batch: tuple[torch.Tensor, ...]
    loss: torch.Tensor
    results: tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class _Moving:
    """A view of a batch, whose memory is another one at each step."""

    of: int
    distance: int
    size: torch.Size
    stride: tuple[int, ...]
    tensor: torch.Tensor


class Program:
    """Repeats a recording.

    Args:
        recording: of a step. sides: the memory of each side, of the same shapes as ``recording``
            has them. compiles: whether it is translated to C++.

    Raises:
        NotRepeatable: the recordings differ in more than numbers that can be computed again.
        NotCompiled: ``compiles``, and there is no compiler, or it fails.
    """

    def __init__(
        self,
        recording: Recording,
        sides: Sequence[Sequence[torch.Tensor]],
        *,
        compiles: bool = False,
    ) -> None:
        self._numbers = recording.numbers[0]
        self._moving: list[_Moving] = []
        changing = _changing(recording)
        self._wanted = sorted({index for found in changing for index in found.values()})
        plan = _Plan(recording, changing)
        self._values: dict[int, float] = {}
        self._alive: torch.Tensor | None = None
        self._losses: list[torch.Tensor] = []
        self._results: list[tuple[torch.Tensor, ...]] = []
        steps: list[tuple[list[Planned], list[Planned]]] = []
        for side in range(SIDES):
            make = plan.maker(sides[side], sides[(side + 1) % SIDES], self._moving)
            before: list[Planned] = []
            after: list[Planned] = []
            for number, (call, numbers) in enumerate(zip(recording.first, changing, strict=True)):
                if plan.executes(call):
                    (before if number < plan.first_write else after).append(
                        planned(number, call, make, numbers, self._values)
                    )
            for target, source in plan.copied:
                after.append(_copy(recording, target, source, sides[(side + 1) % SIDES], make))
            steps.append((before, after))
            self._losses.append(make(recording.loss))
            self._results.append(tuple(make(result) for result in recording.results))
        self._native = (
            NativeProgram(steps, plan.spans, recording.batch, len(recording.loss))
            if compiles
            else None
        )
        self._steps: list[list[list[Callable[[], Any]]]] = (
            [[[one.function for one in part] for part in parts] for parts in steps]
            if self._native is None
            else self._native.steps
        )

    def run(
        self,
        side: int,
        batch: Sequence[torch.Tensor],
        leaves: Mapping[str, float],
        alive: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...] | None:
        """Take the step from a side to the other.

        Args:
            batch: inputs and targets, of the shapes and strides of the recording.
            leaves: name → value of the numbers that differ from step to step.
            alive: indices of the runs that have not ended; by default none has.

        Returns:
            The results of the recording, which the next step overwrites. None where the loss of a
            run that has not ended is not finite: nothing is written to the other side then.
        """
        if self._wanted:
            self._values.update(self._numbers.evaluated(self._wanted, leaves))
        if self._native is not None:
            self._native.set_inputs(side, batch, self._values)
            if alive is not self._alive:
                self._alive = alive
                self._native.set_runs(
                    range(len(self._losses[0])) if alive is None else alive.tolist()
                )
        # A step that is all in C++ has addresses instead of views.
        for view in self._moving if self._native is None or self._native.left else ():
            base = batch[view.of]
            view.tensor.set_(
                base.untyped_storage(),
                base.storage_offset() + view.distance,
                view.size,
                view.stride,
            )
        before, after = self._steps[side]
        loss = self._losses[side]
        for call in before:
            call()
        if not math.isfinite((loss if alive is None else loss.index_select(0, alive)).sum().item()):
            return None
        for call in after:
            call()
        return self._results[side]


class Entry(NamedTuple):
    """A recorded step, and how many results it has of each kind."""

    program: Program
    used: int
    vectors: int
    clips: bool
    layers: int | None


def _copy(
    recording: Recording,
    target: int,
    source: torch.Tensor,
    side: Sequence[torch.Tensor],
    make: Make,
) -> Planned:
    """Return the call that brings a result to the next side, when all others have been executed."""
    to, value = side[target], make(source)
    call = Call(torch.ops.aten.copy_.default, (recording.sides[target], source), {}, (to,))
    copy = functools.partial(to.copy_, value)
    return Planned(len(recording.first), call, (to, value), {}, (to,), {}, copy)


class _Plan:
    """Where each tensor of a recording lies."""

    def __init__(self, recording: Recording, changing: Sequence[Mapping[int | str, int]]) -> None:
        self._recording = recording
        self._side = {memory_of(tensor): i for i, tensor in enumerate(recording.sides)}
        self._batch = {memory_of(tensor): i for i, tensor in enumerate(recording.batch)}
        if len(self._side) < len(recording.sides) or len(self._batch) < len(recording.batch):
            raise NotRepeatable("tensors of the state share memory")
        self._constants: dict[int, torch.Tensor] = {}
        self._executed: set[int] = set()
        self._spans: dict[int, Span] = {}
        self._read_calls(changing)
        self._target: dict[int, int] = {}
        self.copied: list[tuple[int, torch.Tensor]] = []
        for index, tensor in enumerate(recording.after):
            if self._fits(tensor, recording.sides[index]):
                self._target[memory_of(tensor)] = index
            else:
                self.copied.append((index, tensor))
        self._check_order()
        end = len(recording.first)
        for _, tensor in self.copied:
            self._used(tensor, end)
        for tensor in recording.results:
            self._used(tensor, end + 1)
        self._offsets, total = placed(
            {key: span for key, span in self._spans.items() if key not in self._target}
        )
        self._arena = torch.zeros(total, dtype=torch.uint8)

    @property
    def spans(self) -> Mapping[int, Span]:
        """Memory of a step → its bytes, and the first and the last call that need it."""
        return {key: span for key, span in self._spans.items() if key not in self._target}

    def _read_calls(self, changing: Sequence[Mapping[int | str, int]]) -> None:
        """Find out what each call defines and uses, and which ones compute anything."""
        calls = self._recording.first
        written = {memory_of(tensor) for call in calls for tensor in call.written()}
        known = {*self._side, *self._batch}
        for number, (call, numbers) in enumerate(zip(calls, changing, strict=True)):
            # The result of a call that changes or views an older tensor is not new memory.
            known.update(map(memory_of, call.read()))
            new = [tensor for tensor in call.results if memory_of(tensor) not in known]
            known.update(map(memory_of, new))
            if new and call.name in CONSTANTS and not (numbers or memory_of(new[0]) in written):
                self._constants[memory_of(new[0])] = new[0].clone()
                continue
            for tensor in new:
                size = tensor.untyped_storage().nbytes()
                self._spans[memory_of(tensor)] = Span(size, number, number)
            if (new or call.mutates) and call.name not in ALLOCATIONS:
                self._executed.add(id(call))
                for tensor in call.read():
                    self._used(tensor, number)
        if not written <= set(self._spans):
            raise NotRepeatable("the step writes to tensors that are not its own")

    def _used(self, tensor: torch.Tensor, number: int) -> None:
        memory = memory_of(tensor)
        if memory in self._spans:
            self._spans[memory] = self._spans[memory]._replace(last=number)

    def _fits(self, tensor: torch.Tensor, side: torch.Tensor) -> bool:
        """Return whether a step can compute a tensor where the next side has it."""
        memory = memory_of(tensor)
        return (
            memory in self._spans
            and memory not in self._target
            and tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
            and tensor.stride() == side.stride()
        )

    def _check_order(self) -> None:
        """Find the first call that writes to the next side; the loss must be known by then."""
        calls = self._recording.first
        self.first_write = min(
            (self._spans[memory].first for memory in self._target), default=len(calls)
        )
        loss = memory_of(self._recording.loss)
        known_at = max(
            (
                number
                for number, call in enumerate(calls)
                if any(memory_of(one) == loss for one in (*call.results, *call.written()))
            ),
            default=-1,
        )
        if known_at >= self.first_write:
            raise NotRepeatable("parameters or state are written before the loss is known")

    def executes(self, call: Call) -> bool:
        """Return whether a call computes anything: views and new memory do not."""
        return id(call) in self._executed

    def maker(
        self,
        source: Sequence[torch.Tensor],
        target: Sequence[torch.Tensor],
        moving: list[_Moving],
    ) -> Make:
        """Return the function: tensor of the recording → the tensor that takes its place.

        Args:
            source, target: sides. moving: to which views of batches are added.
        """

        def make(tensor: torch.Tensor) -> torch.Tensor:
            memory = memory_of(tensor)
            if memory in self._side:
                return _view(source[self._side[memory]], tensor)
            if memory in self._target:
                return _view(target[self._target[memory]], tensor)
            if memory in self._batch:
                return self._moved(tensor, moving)
            if memory in self._constants:
                return _view(self._constants[memory], tensor)
            if memory in self._offsets:
                begin = self._offsets[memory] // tensor.element_size()
                return torch.empty(0, dtype=tensor.dtype).set_(
                    self._arena.untyped_storage(),
                    begin + tensor.storage_offset(),
                    tensor.size(),
                    tensor.stride(),
                )
            return tensor  # of outside, and the same at every step

        return make

    def _moved(self, tensor: torch.Tensor, moving: list[_Moving]) -> torch.Tensor:
        of = self._batch[memory_of(tensor)]
        base = self._recording.batch[of]
        distance = int(tensor.storage_offset()) - int(base.storage_offset())
        for view in moving:
            if (view.of, view.distance) == (of, distance) and (view.size, view.stride) == (
                tensor.size(),
                tensor.stride(),
            ):
                return view.tensor
        made = torch.empty(0, dtype=tensor.dtype).set_(
            base.untyped_storage(), tensor.storage_offset(), tensor.size(), tensor.stride()
        )
        moving.append(_Moving(of, distance, tensor.size(), tensor.stride(), made))
        return made


def _view(base: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return the view of ``base`` that has the place of ``like`` in its memory."""
    if base.size() == like.size() and base.stride() == like.stride() and not like.storage_offset():
        return base
    return base.as_strided(like.size(), like.stride(), like.storage_offset())


def _changing(recording: Recording) -> list[dict[int | str, int]]:
    """Return, for each call, position or keyword → index of the traced number that it is.

    Raises:
        NotRepeatable: the recordings differ in anything else.
    """
    first, second = recording.first, recording.second
    if [call.operation for call in first] != [call.operation for call in second]:
        raise NotRepeatable("another step consists of other operations")
    found: list[dict[int | str, int]] = []
    for one, other in zip(first, second, strict=True):
        its: dict[int | str, int] = {}
        for position, (value, its_other) in enumerate(
            zip(one.arguments, other.arguments, strict=True)
        ):
            _compare(recording, its, position, value, its_other)
        for name, value in one.keywords.items():
            _compare(recording, its, name, value, other.keywords[name])
        if one.name == "lift_fresh" and not torch.equal(one.results[0], other.results[0]):
            raise NotRepeatable("another step has another constant")
        found.append(its)
    return found


def _compare(
    recording: Recording, into: dict[int | str, int], where: int | str, value: Any, other: Any
) -> None:
    if isinstance(value, torch.Tensor) or any(True for _ in tensors(value)):
        return
    if type(value) is type(other) and (value == other or value is other):
        return
    if isinstance(value, float) and isinstance(other, float):
        numbers, others = recording.numbers
        for index, (own, its) in enumerate(zip(numbers.values, others.values, strict=True)):
            if float.__eq__(value, own) and float.__eq__(other, its):
                into[where] = index
                return
    raise NotRepeatable("a number of another step is not known")
