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
from typing import Any

from optlab.core.lazy import torch
from optlab.numerics.traced_number import NotRepeatable, Numbers
from optlab.training.capturing.arena import Span, placed
from optlab.training.capturing.trace import Call, memory_of, replaced, tensors

SIDES = 2
_ALLOCATIONS = frozenset(
    {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "empty_permuted"}
)
_CONSTANTS = frozenset(
    {
        *("full", "full_like", "new_full", "zeros", "zeros_like", "new_zeros", "ones", "ones_like"),
        *("new_ones", "scalar_tensor", "lift_fresh", "arange", "eye"),
    }
)
_ARITHMETIC = frozenset({"mul", "mul_", "div", "div_", "add", "add_", "sub", "sub_"})
_COPIES = frozenset({"clone", "_to_copy", "lift_fresh_copy"})

Make = Callable[["torch.Tensor"], "torch.Tensor"]


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
class _Numbered:
    """A call with numbers that differ from step to step.

    Attributes:
        positions, names: position or keyword → index of the number in ``values``.
    """

    values: Mapping[int, float]
    function: Callable[..., Any]
    arguments: list[Any]
    keywords: dict[str, Any]
    positions: dict[int, int]
    names: dict[str, int]

    def __call__(self) -> None:
        for position, index in self.positions.items():
            self.arguments[position] = self.values[index]
        for name, index in self.names.items():
            self.keywords[name] = self.values[index]
        self.function(*self.arguments, **self.keywords)


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
            has them.

    Raises:
        NotRepeatable: the recordings differ in more than numbers that can be computed again.
    """

    def __init__(self, recording: Recording, sides: Sequence[Sequence[torch.Tensor]]) -> None:
        self._numbers = recording.numbers[0]
        self._moving: list[_Moving] = []
        changing = _changing(recording)
        self._wanted = sorted({index for found in changing for index in found.values()})
        plan = _Plan(recording, changing)
        self._values: dict[int, float] = {}
        self._steps: list[
            tuple[list[Callable[[], Any]], torch.Tensor, list[Callable[[], Any]]]
        ] = []
        self._results: list[tuple[torch.Tensor, ...]] = []
        for side in range(SIDES):
            make = plan.maker(sides[side], sides[(side + 1) % SIDES], self._moving)
            before: list[Callable[[], Any]] = []
            calls: list[Callable[[], Any]] = []
            for number, (call, numbers) in enumerate(zip(recording.first, changing, strict=True)):
                if plan.executes(call):
                    (before if number < plan.first_write else calls).append(
                        _bound(call, make, numbers, self._values)
                    )
            for target, source in plan.copied:
                calls.append(
                    functools.partial(sides[(side + 1) % SIDES][target].copy_, make(source))
                )
            self._steps.append((before, make(recording.loss), calls))
            self._results.append(tuple(make(result) for result in recording.results))

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
        for view in self._moving:
            base = batch[view.of]
            view.tensor.set_(
                base.untyped_storage(),
                base.storage_offset() + view.distance,
                view.size,
                view.stride,
            )
        if self._wanted:
            self._values.update(self._numbers.evaluated(self._wanted, leaves))
        before, loss, after = self._steps[side]
        for call in before:
            call()
        if not math.isfinite((loss if alive is None else loss[alive]).sum().item()):
            return None
        for call in after:
            call()
        return self._results[side]


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
        for tensor in (*recording.results, *(tensor for _, tensor in self.copied)):
            self._used(tensor, end)
        self._offsets, total = placed(
            {key: span for key, span in self._spans.items() if key not in self._target}
        )
        self._arena = torch.zeros(total, dtype=torch.uint8)

    def _read_calls(self, changing: Sequence[Mapping[int | str, int]]) -> None:
        """Find out what each call defines and uses, and which ones compute anything."""
        calls = self._recording.first
        written = {memory_of(tensor) for call in calls for tensor in call.written()}
        known = {*self._side, *self._batch}
        for number, (call, numbers) in enumerate(zip(calls, changing, strict=True)):
            new = [tensor for tensor in call.results if memory_of(tensor) not in known]
            known.update(map(memory_of, new))
            if new and call.name in _CONSTANTS and not (numbers or memory_of(new[0]) in written):
                self._constants[memory_of(new[0])] = new[0].clone()
                continue
            for tensor in new:
                size = tensor.untyped_storage().nbytes()
                self._spans[memory_of(tensor)] = Span(size, number, number)
            if (new or call.mutates) and call.name not in _ALLOCATIONS:
                self._executed.add(id(call))
                for tensor in tensors((call.arguments, tuple(call.keywords.values()))):
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


def _bound(
    call: Call, make: Make, numbers: Mapping[int | str, int], values: Mapping[int, float]
) -> Callable[[], Any]:
    """Return a call of a recording on the memory that ``make`` gives its tensors.

    Args:
        numbers: position or keyword → index in ``values``, of what differs from step to step.
    """
    function, extra = _function(call, make)
    arguments = [replaced(argument, make) for argument in call.arguments]
    keywords = {name: replaced(value, make) for name, value in call.keywords.items()} | extra
    if call.name in _COPIES:
        function, arguments, keywords = (
            torch.Tensor.copy_,
            [make(call.results[0]), arguments[0]],
            {},
        )
    if numbers:
        positions = {where: index for where, index in numbers.items() if isinstance(where, int)}
        names = {where: index for where, index in numbers.items() if isinstance(where, str)}
        return _Numbered(values, function, arguments, keywords, positions, names)
    if (
        call.name in _ARITHMETIC
        and call.operation._overloadname == "Tensor"
        and isinstance(arguments[1], (int, float))
        and call.results[0].is_floating_point()
    ):
        # As torch does itself at every call.
        arguments[1] = torch.tensor(arguments[1], dtype=call.results[0].dtype)
    return functools.partial(function, *arguments, **keywords)


def _function(call: Call, make: Make) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return what executes a call, and the keywords that say where its results go.

    The functions of torch are called rather than its operations, which take longer.
    """
    name = call.name
    if call.mutates:
        if name.endswith("_") and hasattr(torch.Tensor, name):
            return getattr(torch.Tensor, name), {}
        function = getattr(torch, name, None)
        if function is not None and "out" in call.keywords:
            copy = {**call.keywords, "out": _scratch(call.keywords["out"])}
            if _accepts(function, call.arguments, copy):
                return function, {}
        return call.operation, {}
    if name in _COPIES:
        return torch.Tensor.copy_, {}
    if name == "relu":  # which is computed so, but takes no place for its result
        return _clamped, {"out": make(call.results[0])}
    linalg: Any = getattr(torch._C, "_linalg", None)
    given = _with_out(call)
    if given is not None and len(call.results) == 1:
        operation, out = given
        function = getattr(torch, name, getattr(linalg, name, None))
        if (
            function is not None
            and out == "out"
            and _accepts(
                function, call.arguments, {**call.keywords, "out": _scratch(call.results[0])}
            )
        ):
            return function, {"out": make(call.results[0])}
        return operation, {out: make(call.results[0])}
    into = [make(result) for result in call.results]
    return functools.partial(_copied, call.operation, into), {}


def _clamped(x: torch.Tensor, *, out: torch.Tensor) -> None:
    torch.clamp_min(x, 0, out=out)


def _copied(
    operation: Callable[..., Any], into: list[torch.Tensor], *arguments: Any, **keywords: Any
) -> None:
    """Execute what takes no place for its results, and copy them."""
    for target, result in zip(into, tensors(operation(*arguments, **keywords)), strict=True):
        target.copy_(result)


def _with_out(call: Call) -> tuple[Any, str] | None:
    """Return the overload that writes the result of a call to a given tensor, and its keyword.

    None where there is none, or where torch has one that copies.
    """
    wanted = [(one.name, str(one.type)) for one in call.operation._schema.arguments]
    packet = call.operation.overloadpacket
    for name in packet.overloads():
        overload = getattr(packet, name)
        given = overload._schema.arguments
        outs = [one.name for one in given if one.is_out]
        rest = [(one.name, str(one.type)) for one in given if not one.is_out]
        if (
            len(outs) == 1
            and rest == wanted
            and (
                call.name == "stack"
                or torch._C._dispatch_has_kernel_for_dispatch_key(overload.name(), "CPU")
            )
        ):
            return overload, outs[0]
    return None


def _scratch(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype)


def _accepts(
    function: Callable[..., Any], arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> bool:
    """Return whether a function takes the arguments of an operation."""
    try:
        function(*arguments, **keywords)
    except (TypeError, RuntimeError):
        return False
    return True
